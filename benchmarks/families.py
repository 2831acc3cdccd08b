"""Which model families of `transformers` can be trained on packed documents: each tried at toy size on the CPU.

    python benchmarks/families.py > docs/reference/families.md     # 90 CPU seconds
    python benchmarks/families.py gpt2 "mistral, window 16"        # some rows only

Every row builds a model with random weights, moves all of them a little (so that nothing hides behind weights that
begin as zeros or ones), and asks the trainer's own check, which every run begins with.
"""

import sys
import warnings
from typing import Any

import torch

from mmedc.errors import RecipeError
from mmedc.tokenizer import Tokenizer
from mmedc.train.config import ModelSettings
from mmedc.train.families import check_packing
from mmedc.train.model import build

CONTEXT = 64
TOKENIZER = Tokenizer("toy", "0" * 64, 256, 0, (1,))
SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**SIZES, "num_key_value_heads": 2}
HEADS = {**GROUPED, "head_dim": 8}
EXPERTS = {
    "num_local_experts": 4, "num_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
}  # fmt: skip
LATENT = {
    "kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "n_group": 1,
    "topk_group": 1, "n_shared_experts": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4,
}  # fmt: skip
MAMBA = {"mamba_d_state": 8, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_expand": 2}
LLAMA4 = {**HEADS, **EXPERTS, "intermediate_size_mlp": 64}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
LINEAR = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip

PLAIN = (
    "llama mistral ministral ministral3 qwen2 qwen3 gemma gemma2 gemma3_text vaultgemma phi phi3 olmo olmo2 olmo3 "
    "granite smollm3 starcoder2 glm glm4 ernie4_5 exaone4 helium seed_oss apertus arcee bitnet hunyuan_v1_dense "
    "persimmon diffllama doge nanochat stablelm nemotron cohere cohere2 internlm3 cwm jais2"
)
WITH_EXPERTS = (
    "mixtral qwen2_moe qwen3_moe phimoe olmoe granitemoe glm4_moe ernie4_5_moe hunyuan_v1_moe minimax_m2 flex_olmo "
    "gpt_oss minimax jetmoe afmoe"
)

FAMILIES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(PLAIN.split(), HEADS),
    **{name: {**HEADS, **EXPERTS} for name in WITH_EXPERTS.split()},
    "deepseek_v2": {**SIZES, **EXPERTS, **LATENT},
    "deepseek_v3": {**SIZES, **EXPERTS, **LATENT},
    "dots1": {**HEADS, **EXPERTS, **LATENT},
    "llama4_text": LLAMA4,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_neox": SIZES,
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4},
    "gpt_neo": {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "codegen": {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4},
    "opt": {**SIZES, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "falcon, alibi": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4},
    "biogpt": SIZES,
    "xglm": {"d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 64},
    "qwen3_next": {**HEADS, **EXPERTS, **LINEAR, "shared_expert_intermediate_size": 16},
    "qwen3_5_text": {**HEADS, **LINEAR},
    "lfm2": {**GROUPED, "layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {**GROUPED, **EXPERTS, "layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "jamba": {**GROUPED, **EXPERTS, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8},
    "bamba": {**GROUPED, **MAMBA, "attn_layer_indices": [1]},
    "falcon_h1": {**HEADS, **MAMBA, "mamba_d_ssm": 64},
    "granitemoehybrid": {**GROUPED, **EXPERTS, **MAMBA, "layer_types": ["mamba", "attention"]},
    "nemotron_h": {**HEADS, "mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    "mamba2": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "num_heads": 8, "head_dim": 8,
               "n_groups": 1},
    "falcon_mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    "recurrent_gemma": {**HEADS, "lru_width": 32, "attention_window_size": 64},
    "olmo_hybrid": {**HEADS, **LINEAR},
    "rwkv": {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32, "intermediate_size": 64},
    "mistral, window 16": {**HEADS, "sliding_window": 16},
    "qwen2, window 16": {**HEADS, "sliding_window": 16, "use_sliding_window": True, "max_window_layers": 1},
    "phi3, window 16": {**HEADS, "sliding_window": 16},
    "gemma3_text, window 16": {**HEADS, "sliding_window": 16},
    "olmo3, window 16": {**HEADS, "sliding_window": 16, "num_hidden_layers": 4},
    "llama4_text, chunks of 16": {**LLAMA4, "attention_chunk_size": 16},
    "llama4_text, scaled from 4": {**LLAMA4, "floor_scale": 4, "num_hidden_layers": 4},
    "ministral3, scaled from 4": {**HEADS, "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 1e4, "factor": 16.0, "original_max_position_embeddings": 4,
        "llama_4_scaling_beta": 0.1}},
    "granite, scaled logits": {**HEADS, "logits_scaling": 4.0},
    "llama, yarn": {**HEADS, "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16}},
    "llama, dynamic positions": {**HEADS, "max_position_embeddings": 64, "rope_parameters": {
        "rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16}},
    "phi3, longrope": {**HEADS, "original_max_position_embeddings": 16, "rope_parameters": LONG},
}  # fmt: skip
"""Row → configuration, in which the name of the family precedes a comma. Sizes are toy sizes."""

HEAD = """# Model families

Documents are packed, so a model must compute over a batch of documents what it computes over each of them alone.
`mmedc train` tries this with the model at hand before each run, and refuses a model for which it does not hold. The
table says what came of {numbers[families]} families in {numbers[rows]} settings at toy size, with `transformers`
{version} and a context of {context} tokens. `python benchmarks/families.py` makes it.

- {numbers[right]} are right.
- {numbers[refused]} are refused for the reason beside them.
- {numbers[no support]} have no support, because the trainer cannot tell their code where documents begin.

A family that is right may have settings that are not: a window, for example, has to be as long as `data.context`.

| family | packed documents | |
|---|---|---|
"""


def outcome(row: str) -> tuple[str, str]:
    """Return `right`, `refused` or `no support` for a row, and the reason."""
    torch.manual_seed(0)
    try:
        model = build(ModelSettings(config={"model_type": row.split(",")[0], **FAMILIES[row]}), TOKENIZER, CONTEXT, 1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.rand_like(parameter))
        check_packing(model, CONTEXT)
    except RecipeError as problem:
        text = str(problem).removeprefix("model: ").removeprefix("model.config: ")
        why = text.partition(" cannot be trained here: ")[2] or text
        return "no support" if "its code in transformers" in why else "refused", why.partition("; choose")[0]
    return "right", ""


def line(row: str) -> str:
    """Return the line of the table for a row."""
    found, why = outcome(row)
    family, _, variant = row.partition(",")
    return f"| `{family}`{',' if variant else ''}{variant} | {found} | {why} |"


def main() -> None:
    """Print the page, or the lines of the rows that are named."""
    import transformers

    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    rows = sys.argv[1:]
    if rows:
        print("\n".join(map(line, rows)))
        return
    lines = [line(row) for row in sorted(FAMILIES)]
    counted = {what: sum(f"| {what} |" in one for one in lines) for what in ("right", "refused", "no support")}
    numbers = {"rows": len(lines), "families": len({row.split(",")[0] for row in FAMILIES}), **counted}
    print(HEAD.format(version=transformers.__version__, context=CONTEXT, numbers=numbers) + "\n".join(lines))


if __name__ == "__main__":
    main()
