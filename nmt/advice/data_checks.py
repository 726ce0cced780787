"""The doctor's checks of the data: every corpus, from its files to its pieces.

Every corpus is read, up to `READ` pairs; cleaning and encoding are checked on a sample of the first pairs of each.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from nmt.advice.checkup import READ, Checkup, Finding, is_train
from nmt.advice.normal_form import count_changes
from nmt.advice.sides import PAIRS, check_columns, side_problems
from nmt.config.data import DEV, CorpusConfig, DataConfig, language_of_lines
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning.corpus_text import DEVS, iterate_text, read_dev_sets, read_text, sides_of_train, write_text
from nmt.data.cleaning.filters import duplicate_filters, filters
from nmt.data.cleaning.funnel import Funnel, numbers
from nmt.data.cleaning.keys import HeldOut
from nmt.data.encoding import tokenizer_training
from nmt.data.encoding.corpus_ids import IdsPlan, write_ids
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.normalization import IDENTITY
from nmt.data.encoding.tokenizer import UNK_ID, SentencePieceModel, Tokenizer
from nmt.data.pairs import Pair
from nmt.data.reading.archives import download_of
from nmt.data.reading.corpus import TEST_SET
from nmt.data.reading.downloads import is_fetched
from nmt.data.reading.hub import is_cached
from nmt.data.reading.sacrebleu_sets import sacrebleu_missing
from nmt.data.reading.streams import COMPRESSIONS
from nmt.errors import DataError, UsageError
from nmt.evaluation.brackets import are_trees
from nmt.evaluation.metrics import resolve_tokenizer
from nmt.evaluation.scoring import CHRF, ORDER, blank_references, mean_tokens, weakness_of
from nmt.pipeline.augmentation import check_lemmas
from nmt.pipeline.tokenizer import has_own_settings
from nmt.training.log import METRICS

SAMPLE = 50_000
"""Training pairs that are cleaned, encoded, and used to train a tokenizer: the first of each corpus, by its size."""
SMALLEST = 1000  # minimum number of pairs of each corpus in the sample
COUNTED = 2000  # approximate number of pairs of the sample whose words are counted
LEAKED = 0.01  # share of the sources of a dev or test set that may be in train without a warning
DROPPED = 0.2  # share of the training pairs that cleaning may drop without a warning
KEPT = 0.01  # share of a training corpus below which cleaning has left practically nothing of it
REPLACED = 0.001  # share of the target lines that normalisation may change without a warning
UNREACHABLE = 0.01  # share of the references of a set that normalisation may change without a warning
LONG = 0.05  # share of the training pairs that may be too long without a warning
SPELLED = 0.01  # share of the pieces that may be single bytes, or unknown, without a warning


def check_symbols(checkup: Checkup) -> Finding:
    """Check whether the tokenizer of `training.init_from` has the recipe's tags and placeholders."""
    data, run = checkup.recipe.data, checkup.run
    user = data.placeholders_for
    if not data.tags and user is None:
        return Finding("OK", "not asked for")
    if user is not None and not run.placeholders:
        hint = f"begin with a model whose recipe had tokenizer.placeholders, or leave out {user}"
        raise UsageError(f"{user} needs placeholders, and the tokenizer of training.init_from has none", hint=hint)
    symbols = [*data.tags, *([f"{run.placeholders} placeholders"] if user else [])]
    problems = []
    if run.initial:
        known = Tokenizer.load(initial_tokenizer(checkup)).tags
        if missing := [tag for tag in data.tags if tag not in known]:
            tip = "begin with a model whose recipe had these tags, or leave out training.init_from or the tags"
            problems.append((f"the tokenizer of training.init_from splits {', '.join(missing)} into pieces", tip))
    return Finding.of(", ".join(symbols), problems)


def initial_tokenizer(checkup: Checkup) -> Path:
    """Return the folder of the tokenizer of `training.init_from`, or the run's copy of it."""
    assert checkup.run.initial is not None
    folder = Path(checkup.run.initial.tokenizer)
    return folder if folder.exists() else checkup.run.folder.tokenizer


def check_synthetic(checkup: Checkup) -> Finding:
    """List the models that make synthetic pairs, which raise NmtError where they cannot."""
    facts = []
    for maker in checkup.run.open_makers():
        pair = checkup.run.languages_of(maker.corpus).pair
        direction = " to ".join(pair[::-1] if maker.side else pair)
        facts.append(f"{maker.name}, {direction}, {maker.config.method}")
    if facts:
        facts.append("nothing is translated here: later checks take the text as it is")
    return Finding("OK", "; ".join(facts) or "not asked for")


def check_filters(checkup: Checkup) -> Finding:
    """List the filters, which raise UsageError where a package is missing, as the base forms of terms do."""
    check_lemmas(checkup.run)
    corpora: dict[str, list[str]] = {}
    for name in checkup.recipe.data.training_corpora:
        config = checkup.plan.cleaning_of(name)
        names = [*filters(config, checkup.plan.languages_of(name), HeldOut()), *duplicate_filters(config)]
        corpora.setdefault(", ".join(names) or "none", []).append(name)
    if len(corpora) == 1:
        return Finding("OK", next(iter(corpora)))
    return Finding("OK", "; ".join(f"of {', '.join(names)}: {listed}" for listed, names in corpora.items()))


def check_downloads(checkup: Checkup) -> Finding:
    """List the missing downloads, and leave such dev and test sets out of the other checks. Downloads nothing."""
    corpora, facts, tips = checkup.run.corpora, ["nothing to download"], []
    missing = {name: origins for name, config in corpora.items() if (origins := to_fetch(config, checkup))}
    is_needed = any(map(is_train, missing))
    if missing:
        files = {file: origin for origins in missing.values() for file, origin in origins.items()}
        listed = "; ".join(f"{file} from {origin}" for file, origin in files.items())
        facts, tips = [f"not downloaded yet: {listed}"], ["run nmt prepare, which downloads it, then nmt doctor again"]
        if not is_needed:
            checkup.left_out = list(missing)
            facts.append(f"left out of the checks: {', '.join(missing)}")
    parts = {part for config in corpora.values() for name in config.file_names for part in Path(name).parts}
    named = {part + ending for part in parts for ending in ("", *COMPRESSIONS)}
    if unused := [name for name in checkup.recipe.data.downloads if name not in named]:
        facts.append(f"no corpus names the downloads {', '.join(unused)}")
        tips.append("a corpus names a download as a file: remove the download, or correct its name")
    return Finding("skipped" if is_needed else "warning" if tips else "OK", "; ".join(facts), "; ".join(tips))


def to_fetch(config: CorpusConfig, checkup: Checkup) -> dict[str, str]:
    """Return the inputs of a corpus that are not on this machine, with their origins."""
    if config.dataset is not None:
        is_here = checkup.run.local or is_cached(config)
        return {} if is_here else {f"dataset {config.dataset}": "the Hugging Face Hub"}
    languages = checkup.recipe.languages.of(config.direction)
    return {name: origin for name in config.file_names if (origin := mirrors(name, checkup, languages))}


def mirrors(name: str, checkup: Checkup, languages: LanguagesConfig) -> str:
    """Return the URLs of a file that is neither among the data nor in a cache; "" where it is, or has no URL."""
    if name.startswith(TEST_SET):
        return " and ".join(sacrebleu_missing(name.removeprefix(TEST_SET), languages))
    downloads = checkup.recipe.data.downloads
    file = download_of(checkup.run.root / name, downloads)
    if file is None or is_fetched(file, downloads[file]):
        return ""
    urls = downloads[file].url
    return urls if isinstance(urls, str) else " or ".join(urls)


def check_data(checkup: Checkup) -> Finding:
    """Read every corpus, check its sides, and find the sentences of dev and test that are in train."""
    corpora = {name: config for name, config in checkup.run.corpora.items() if name not in checkup.left_out}
    downloads = checkup.recipe.data.downloads
    languages = {name: checkup.recipe.languages.of(config.direction) for name, config in corpora.items()}
    for name, config in corpora.items():
        check_columns(config, languages[name], checkup.run.root, downloads)
    anomalies: dict[str, Counter[str]] = {}
    first: dict[str, list[Pair]] = {name: [] for name in corpora}

    def read(name: str) -> Iterator[Pair]:
        split = "train" if is_train(name) else "test" if name.startswith("test.") else "validation"
        anomalies[name], checkup.pairs[name] = Counter(), 0
        for source, target in islice(checkup.plan.read(corpora[name], split, anomalies[name]), READ):
            checkup.pairs[name] += 1
            if len(first[name]) < PAIRS:
                first[name].append((source, target))
            yield source.strip(), target.strip()

    held_out: dict[str, dict[str, set[str]]] = {name: {} for name in corpora if not is_train(name)}
    for name, targets in held_out.items():
        for source, target in read(name):
            targets.setdefault(source, set()).add(target)
    sources, pairs = ({name: set[str]() for name in held_out} for _ in range(2))
    texts = {name for name, config in corpora.items() if language_of_lines(config, languages[name])}
    for corpus, (source, target) in ((name, pair) for name in corpora if is_train(name) for pair in read(name)):
        for name, targets in held_out.items() if corpus not in texts else ():
            if source in targets:
                sources[name].add(source)
                if target in targets[source]:
                    pairs[name].add(source)
    checkup.leaks = {name: (len(held_out[name]), len(sources[name]), len(pairs[name])) for name in held_out}
    kinds = {"pairs": [name for name in corpora if name not in texts], "lines": [*filter(texts.__contains__, corpora)]}
    facts = [
        f"{kind} of {', '.join(f'{name} {checkup.pairs[name]:,}' for name in names)}"
        for kind, names in kinds.items()
        if names
    ]
    facts.append("UTF-8, each line with its translation" if kinds["pairs"] else "UTF-8")
    facts += [f"found in {name}: {numbers(anomalies[name])}" for name in corpora if anomalies[name]]
    if cut := [name for name in corpora if checkup.pairs[name] == READ]:
        facts.append(f"read no further than {READ:,} pairs: {', '.join(cut)}")
    problems = []
    for name, config in corpora.items():
        found = side_problems(config, languages[name], first[name], checkup.run.root, downloads)
        problems += [(f"{name}: {problem}", tip) for problem, tip in found]
    return Finding.of("; ".join(facts), problems)


def check_leakage(checkup: Checkup) -> Finding:
    """Check how much of dev and test is in train: whole pairs, and sources with another translation."""
    if not checkup.leaks and not checkup.left_out:
        return Finding("OK", "dev and test are split off the training text")
    data = checkup.recipe.data
    configs = {corpus: checkup.plan.cleaning_of(corpus) for corpus in data.training_corpora}
    drops_sides = all(configs[corpus].drop_leaked_sides for corpus in data.train)
    with_leaks = [
        corpus
        for corpus, config in configs.items()
        if not (config.drop_leaked or config.drop_leaked_near or config.drop_leaked_sides)
    ]
    drops = data.train.keys().isdisjoint(with_leaks)
    # There are few short examples of a task: what splits have in common is a fact to know, and no flaw to mend.
    if data.train and all(config.task for config in data.train.values()):
        drops = drops_sides = True
    facts, problems = [], []
    if data.monolingual:
        lines = [corpus for corpus in with_leaks if corpus in data.monolingual]
        facts.append("monolingual lines that are in dev or test " + ("are not looked for" if lines else "are dropped"))
        if lines:
            problems.append((f"cleaning does not drop them from {', '.join(lines)}", "set cleaning.drop_leaked = true"))
    for name, (total, sources, pairs) in checkup.leaks.items() if data.train else ():
        facts.append(f"of {name}, {sources:,} of {total:,} sources are in train, {pairs:,} with the same target")
        if pairs and not drops:
            problems.append((f"pairs of {name} stay in train", "set cleaning.drop_leaked = true"))
        if sources > LEAKED * total and not drops_sides:
            tip = f"set cleaning.drop_leaked_sides = true, or use another {name}: cleaning drops only the same pairs"
            problems.append((f"{sources / total:.0%} of {name} is not new to the model", tip))
    if checkup.left_out:
        facts.append(f"not checked: {', '.join(checkup.left_out)}")
    return Finding.of("; ".join(facts), problems)


def check_cleaning(checkup: Checkup) -> Finding:
    """Clean the sample, and check how many pairs the filters drop."""
    placeholders = checkup.run.placeholders if checkup.recipe.data.protect else 0
    plan = dataclasses.replace(checkup.plan, data=sampled(checkup), placeholders=placeholders)
    checkup.sample = write_text(plan, checkup.text, workers=1)
    funnel = checkup.sample.funnel
    facts = [f"of {checkup.size}, dropped: {numbers(funnel.dropped) or 'none'}"]
    if mended := numbers(funnel.mended):
        facts.append(f"normalised: {mended}")
    shares, problems = [], []
    for name, funnel in checkup.sample.funnels.items():
        share = sum(funnel.dropped.values()) / funnel.read
        shares.append(f"{share:.0%} of {name}")
        if share > DROPPED:
            much = f"that is {share:.0%}" if len(checkup.sizes) == 1 else f"over {DROPPED:.0%} of {name}"
            problems += hardly_kept(name, funnel) or [(much, check_worst_filter(funnel.dropped))]
    if len(shares) > 1:
        facts.append(f"that is {', '.join(shares)}")
    return Finding.of("; ".join(facts), problems)


def check_metric(checkup: Checkup) -> Finding:
    """Check that BLEU's tokenizer is installed, and that BLEU can rank the checkpoints by dev."""
    evaluation, metric = checkup.recipe.evaluation, checkup.recipe.training.best_metric
    if checkup.recipe.training.objective != "translation":
        return Finding("OK", f"the {METRICS[metric]} of dev ranks the checkpoints; there are no other scores")
    facts, problems = [f"{METRICS[metric]} ranks the checkpoints"], []
    for name, pairs in read_dev_sets(checkup.text).items():
        references = [target for _, target in pairs]
        tokenize = resolve_tokenizer(evaluation.tokenize, checkup.recipe.languages_of(name).target)
        tokens, of_set = mean_tokens(tokenize, references), []
        if weakness := weakness_of(tokenize, references):
            problem, better = weakness
            if better != CHRF:
                of_set.append((problem, f'set evaluation.tokenize = "{better}"'))
            elif metric == "bleu":
                of_set.append((problem, 'set training.best_metric = "chrf"'))
        elif metric == "bleu" and tokens < ORDER:
            of_set.append((f"BLEU counts n-grams of up to {ORDER}", 'set training.best_metric = "chrf"'))
        if metric in ("bleu", "chrf") and are_trees(references):
            of_set.append(("dev is of trees", 'set training.best_metric = "strict-f1"'))
        of_set += [(said, "correct or remove these lines of dev") for said in blank_references([references])]
        where = "" if name == DEV else f"{name}: "
        problems += [(f"{where}{problem}", tip) for problem, tip in of_set]
        facts.append(f"{where}BLEU's tokenizer is {tokenize}: {tokens:.1f} words a dev line")
    return Finding.of("; ".join(facts), problems)


def hardly_kept(name: str, funnel: Funnel) -> list[tuple[str, str]]:
    """Return a problem where the filters left practically nothing of a training corpus."""
    if funnel.kept >= KEPT * funnel.read:
        return []
    return [(f"left of {name}: {funnel.kept or 'none'} of {funnel.read:,} pairs", check_worst_filter(funnel.dropped))]


def check_worst_filter(dropped: dict[str, int]) -> str:
    """Advise to check the filter that dropped most."""
    worst = max(dropped, key=dropped.__getitem__)
    return f"check the pairs that {worst} drops with nmt -v prepare, or loosen [cleaning]"


def sampled(checkup: Checkup) -> DataConfig:
    """Return [data] with the first pairs of each training corpus, and without the sets that are left out.

    Where that leaves no dev or test set, a few training pairs are split off in its place.
    """
    data, sizes = checkup.recipe.data, checkup.sizes
    total = sum(sizes.values())
    few = max(1, min(data.dev_pairs, total // 100))
    test = {name: config for name, config in data.test.items() if f"test.{name}" not in checkup.left_out}
    devs = {name: config for name, config in data.devs.items() if f"{DEVS}{name}" not in checkup.left_out}
    if checkup.left_out:
        stand_ins: dict[str, object] = {"devs": devs}
        if "dev" in checkup.left_out or (data.devs and not devs):
            stand_ins |= {"dev": None, "dev_pairs": few}
        stand_ins |= {"guard": None} if "guard" in checkup.left_out else {}
        data = data.model_copy(update={**stand_ins, "test": test, "test_pairs": few if data.test else data.test_pairs})
    # Large enough for dev and test to be split off, of any direction and whatever else there is.
    least = max(SMALLEST, 4 * ((not data.dev_sets) * data.dev_pairs + (not data.test) * data.test_pairs))
    first: dict[str, dict[str, CorpusConfig]] = {"train": {}, "monolingual": {}}
    for name, corpus in data.training_corpora.items():
        pairs = max(least, math.ceil(SAMPLE * sizes[name] / total))
        section = first["monolingual" if name in data.monolingual else "train"]
        section[name] = corpus.model_copy(update={"pairs": min(pairs, corpus.pairs or pairs)})
    return data.model_copy(update=first)


def check_vocabulary(checkup: Checkup) -> Finding:
    """Encode the sample with the run's tokenizer or a new one, and check how the pieces fit the text."""
    recipe = checkup.recipe
    try:
        origin, folder = open_tokenizer(checkup)
    except DataError as error:
        if checkup.is_whole:
            raise
        return Finding("skipped", f"{checkup.size} allow no such tokenizer, all may: {error}")
    checkup.tokenizer = Tokenizer.load(folder)
    keep_text = recipe.tokenizer.sampling is not None
    plan = IdsPlan(checkup.text, folder, recipe.data, recipe.cleaning, recipe.model.max_length, keep_text)
    counts = write_ids(plan, checkup.scratch / "ids", workers=1)
    checkup.train = PreparedPairs(checkup.scratch / "ids" / "train")
    facts, problems = [origin], []
    every = max(1, checkup.sample.pairs // COUNTED)
    texts = zip(*islice(iterate_text(checkup.text, "train"), 0, None, every), strict=True)
    sides = (checkup.tokenizer.source, checkup.train.src_columns), (checkup.tokenizer.target, checkup.train.tgt_columns)
    for name, (side, columns), lines in zip(("source", "target"), sides, texts, strict=True):
        per_word = sum(map(len, side.encode(lines))) / max(1, sum(len(line.split()) for line in lines))
        spelled = float(np.isin(np.concatenate([ids for _, ids in columns]), spelling_ids(side)).mean())
        facts.append(f"{name}: {per_word:.2f} pieces a word, {spelled:.2%} single bytes or unknown")
        if spelled > SPELLED:
            problems.append((f"too many of {name}", "raise tokenizer.character_coverage or vocab_size"))
    funnel = counts.funnel
    long = funnel.dropped["max_pieces"]
    facts.append(f"{long / funnel.read:.2%} of the pairs over {' or '.join(map(str, checkup.limits))} pieces")
    if long > LONG * funnel.read:
        problems.append(("these are dropped", "raise cleaning.max_pieces and model.max_length"))
    for name, corpus in counts.funnels.items():
        problems += hardly_kept(name, corpus)
    if counts.dev_cut and "dev" not in checkup.left_out:
        problems.append((f"{counts.dev_cut:,} dev pairs are cut for the dev loss", "raise model.max_length"))
    return Finding.of("; ".join(facts), problems)


def check_normal_form(checkup: Checkup) -> Finding:
    """Count the lines that the normal form of each side changes: no translation can have what the target's replaces."""
    sides, columns = (checkup.tokenizer.source, checkup.tokenizer.target), ("source", "target")
    train = zip(*iterate_text(checkup.text, "train"), strict=True)
    changes = [count_changes(lines, side.normalize) for side, lines in zip(sides, train, strict=True)]
    facts, problems = [], []
    for name, found in zip(columns, changes, strict=True):
        composed = f", and composes {found.composed:,}" if found.composed else ""
        facts.append(f"normalisation changes {found.of(f'{name} lines')}{composed}")
    if changes[1].changed > REPLACED * changes[1].lines:
        tip = 'set tokenizer.target_normalization = "nfc", for a new run'
        problems.append(("no translation can have what it replaces in the target", tip))
    for name, side, found in zip(columns, sides, changes, strict=True):
        if side.form and side.form.rule == IDENTITY and found.not_nfc:
            key = "normalization" if name == "source" else "target_normalization"
            problems.append((f"{found.not_nfc:,} {name} lines are not in NFC", f'set tokenizer.{key} = "nfc"'))
    said, share = unreachable_references(checkup, sides[1])
    facts += said
    if share > UNREACHABLE and not problems:
        problems.append(("scores count these against the model", "bring the references into that form"))
    return Finding.of("; ".join(facts), problems)


def unreachable_references(checkup: Checkup, side: SentencePieceModel) -> tuple[list[str], float]:
    """Count the references of each set that normalisation changes; return the counts, and the largest share."""
    said, largest = [], 0.0
    for name in ("dev", *(f"test.{test}" for test in checkup.recipe.data.test)):
        if name in checkup.left_out:
            continue
        _, references = read_text(checkup.text, name)
        if changed := sum(map(side.changes, references)):
            said.append(f"{changed:,} of {len(references):,} references of {name} differ from what it leaves")
            largest = max(largest, changed / len(references))
    return said, largest


def open_tokenizer(checkup: Checkup) -> tuple[str, Path]:
    """Return the origin and the folder of the tokenizer: another model's, the run's, or one trained on the sample."""
    config, run = checkup.recipe.tokenizer, checkup.run
    tags, seed = checkup.recipe.data.tags, checkup.recipe.training.seed
    if run.initial:
        return "the tokenizer of training.init_from", initial_tokenizer(checkup)
    if has_own_settings(run):
        return "the run folder's tokenizer", run.folder.tokenizer.absolute()
    folder = checkup.scratch / "tokenizer"
    folder.mkdir()
    sides = sides_of_train([checkup.text / "train"], checkup.recipe.data, checkup.recipe.languages)
    tokenizer_training.train(*sides, config, folder, seed=seed, tags=tags)
    return f"a tokenizer of {config.vocab_size:,} pieces, trained on {checkup.size}", folder


def spelling_ids(side: SentencePieceModel) -> list[int]:
    """Return the ids of text that has no piece of its own: the unknown piece, and the single bytes."""
    return [UNK_ID, *(i for i in range(side.size) if side.processor.is_byte(i))]


def check_shares(checkup: Checkup) -> Finding:
    """List the share of an epoch that each training corpus has."""
    tokens = checkup.epoch_tokens()
    total = sum(count for count, _ in tokens.values())
    listed = [
        f"{name} {count / total:.1%}" + (f", each pair {weight:.3g} times" if weight != 1 else "")
        for name, (count, weight) in tokens.items()
    ]
    return Finding("OK", f"of the target tokens of an epoch: {'; '.join(listed)}")
