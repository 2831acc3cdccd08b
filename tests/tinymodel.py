"""A tiny Llama of random weights with a byte-level tokenizer learnt from the shipped questions."""

from pathlib import Path

import torch

from mmedc.bench.items import QUESTIONS, read_items

CHAT = "{% for turn in messages %}<|{{ turn.role }}|>{{ turn.content }}{% endfor %}<|assistant|>"


def make(folder: Path, context: int = 256, vocabulary: int = 500, seed: int = 0) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)  # passes this small only wait for threads, ten times as long on a busy machine
    folder.mkdir(parents=True, exist_ok=True)
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    learnt = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([item.question for item in read_items((QUESTIONS,))], learnt)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        f'{{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "chat_template": "{CHAT}"}}'
    )
    torch.manual_seed(1 + seed)
    config = LlamaConfig(
        vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=context, initializer_range=0.5,
        bos_token_id=None, eos_token_id=0, pad_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
