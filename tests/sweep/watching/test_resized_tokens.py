"""A frozen language model that gets new tokens, as Hugging Face's models are resized.

Reports: kohjingyu/fromage#18, huggingface/transformers#26861, #3532.
"""

import pytest
import torch
from witness import Witness, bits, told

from sweep import watch

transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")  # what it deprecates is its own affair


def language_model(*, tied):
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    config = transformers.OPTConfig(
        vocab_size=30,
        hidden_size=16,
        ffn_dim=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        word_embed_proj_dim=16,
        dropout=0.0,
        tie_word_embeddings=tied,
    )
    return transformers.OPTForCausalLM(config).requires_grad_(False).train()


def train(model, optimizer, witness, steps=3):
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        words = torch.randint(3, 30, (2, 6), generator=generator)
        model(input_ids=words, labels=words).loss.backward()
        witness.step(optimizer)
        optimizer.zero_grad()


@pytest.mark.parametrize("frozen", [["lm_head"], ["lm_head.weight"], ["model"], [""], ["*head*"]])
@pytest.mark.parametrize("tied", [False, True])
def test_a_head_that_a_resize_unfroze_moves_on_every_step(tied, frozen):
    model = language_model(tied=tied)
    model.get_input_embeddings().weight.requires_grad_(True)
    model.get_output_embeddings().weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    witness = Witness(model.named_parameters())
    with watch(model, optimizer, frozen=frozen) as leaks:
        train(model, optimizer, witness)
    first = {id(p): name for name, p in reversed(list(model.named_parameters()))}
    prefix = frozen[0].strip("*")
    meant = {
        first[id(p)]
        for name, p in model.named_parameters(remove_duplicate=False)
        if prefix in name or name.startswith(prefix)
    }
    if frozen == ["model"]:
        meant = {name for name in meant if name.startswith("model.")}
    true = witness.moved(lambda name, _: name in meant)
    assert true
    assert told(leaks) == true
    assert "gradient" in str(set(leaks.table()["cause"].dropna()))


def test_an_optimizer_built_before_the_resize_trains_tensors_that_have_left_the_model():
    """https://github.com/huggingface/transformers/pull/3532"""
    model = language_model(tied=False).requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.resize_token_embeddings(31)
    before = {name: bits(p) for name, p in model.named_parameters()}
    with watch(model, optimizer) as leaks:
        train(model, optimizer, Witness({}))
    still = [n for n, p in model.named_parameters() if torch.equal(before[n], bits(p))]
    assert "lm_head.weight" in still
    said = leaks.summary()
    assert "A gradient reached all" not in said
    assert "in no optimizer" in said
    assert "lm_head" in said


def test_only_the_new_tokens_rows_train_where_the_others_are_masked():
    """https://github.com/baichuan-inc/Baichuan2/issues/383"""
    model = language_model(tied=True)
    model.resize_token_embeddings(32)
    weight = model.get_input_embeddings().weight.requires_grad_(True)
    optimizer = torch.optim.AdamW([weight], lr=1e-2, weight_decay=0.5)
    weight.register_hook(lambda grad: grad * (torch.arange(32) >= 30)[:, None])
    witness = Witness(model.named_parameters())
    with watch(model, optimizer, granularity="row") as leaks:
        train(model, optimizer, witness)
    true = witness.rows_moved(lambda name, row, _: "embed_tokens" in name and row < 30)
    assert len(true) == 29 * 3  # the padding row is all zeros, which decay does not move
    name = next(iter(true))[0]
    rows = {(leak.parameter, row, leak.step) for leak in leaks.leaks for row in leak.rows}
    assert {each for each in rows if each[0] == name and each[1] < 30} == true
