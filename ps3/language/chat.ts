// Conversations as a checkpoint's template, in Jinja, writes them, and where in that text the answers are.
import { Template } from '@huggingface/jinja';
import { TokenizerError } from '../model/text/tokenizer_error.ts';

/** One turn of a conversation. */
export interface ChatMessage {
  /** system, user or assistant; other roles as far as the template knows them. */
  readonly role: string;
  /** What is said, which goes into the text as it is. */
  readonly content: string;
}

/** Qwen2's form of a conversation, for vocabularies that come without a template. */
export const CHAT_TEMPLATE: string =
  "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant<|im_end|>\\n' }}{% endif %}" +
  "{% for message in messages if message['content'] is not none %}" +
  "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** A run of characters of a rendered conversation. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A template that has been read. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #constants: Readonly<Record<string, unknown>>;

  /**
   * @param source     Jinja
   * @param constants  what templates may name besides the messages, such as `eos_token`
   * @throws TokenizerError when it is no template
   */
  constructor(source: string, constants: Readonly<Record<string, unknown>> = {}) {
    this.#constants = constants;
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new TokenizerError(`ChatTemplate: chat_template must be Jinja, got ${(cause as Error).message}.`);
    }
  }

  /**
   * The conversation as text.
   *
   * @param options.generationPrompt  ends it with the beginning of an answer; default false
   * @throws TokenizerError for what the template refuses
   */
  render(messages: readonly ChatMessage[], options: { readonly generationPrompt?: boolean } = {}): string {
    const { generationPrompt = false } = options;
    try {
      return this.#template.render({ ...this.#constants, messages, add_generation_prompt: generationPrompt });
    } catch (cause) {
      throw new TokenizerError(
        `ChatTemplate: the template must take ${messages.length} messages, got ${(cause as Error).message}.`,
      );
    }
  }

  /**
   * Where the answers of the assistant are in a rendered conversation, without what the template puts around them.
   *
   * @throws TokenizerError for a template that does not repeat a conversation and its answers as they are
   */
  answers(messages: readonly ChatMessage[]): { text: string; spans: Span[] } {
    const text = this.render(messages);
    const spans: Span[] = [];
    for (const [i, { role, content }] of messages.entries()) {
      if (role !== 'assistant') continue;
      const before = this.render(messages.slice(0, i), { generationPrompt: true });
      const start = before.length;
      if (!text.startsWith(before + content))
        throw new TokenizerError(
          `ChatTemplate: to label answers, the template must write them as they are behind what came before, got another text for message ${i}.`,
        );
      spans.push({ start, end: start + content.length });
    }
    return { text, spans };
  }
}
