// What a dispatch costs that does nothing: recording, encoding, submission and the start of one workgroup.

@compute @workgroup_size(1)
fn empty() {
}
