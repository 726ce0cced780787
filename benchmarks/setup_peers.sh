#!/usr/bin/env bash
# Make what the benchmarks compare with: an environment for each toolkit, sources and tcmalloc, under .peers/.
# What is ready is skipped; one line says how each stands, .peers/NAME.log the rest.
set -uo pipefail
cd "$(dirname "$0")/.."
export PIP_CONSTRAINT=$PWD/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1
failed=0
mkdir -p .peers

# environment NAME TOOLKIT PACKAGE...: the packages, then the toolkit alone, for some pin another torch.
environment() {
    local folder=.peers/$1 toolkit=$2 wanted="${*:2}"
    if [ "$(cat "$folder/.ready" 2>/dev/null)" = "$wanted" ]; then
        echo "$1: ready, $toolkit"
    elif { rm -rf "$folder" && "${PYTHON:-python3}" -m venv "$folder" &&
        "$folder/bin/python" -m pip install "${@:3}" &&
        "$folder/bin/python" -m pip install --no-deps "$toolkit"; } >"$folder.log" 2>&1; then
        echo "$wanted" >"$folder/.ready"
        echo "$1: installed $toolkit"
    else
        echo "$1: could not install $toolkit, see $folder.log" >&2
        failed=1
    fi
}

# Debian's package, unpacked rather than installed, which needs no root.
tcmalloc() {
    local folder=.peers/tcmalloc
    if [ -e "$folder/.ready" ]; then
        echo "tcmalloc: ready, $(cat "$folder/.ready")"
    elif { rm -rf "$folder" && mkdir "$folder" &&
        (cd "$folder" && apt-get download libtcmalloc-minimal4) && dpkg -x "$folder"/*.deb "$folder" &&
        cp "$folder"/usr/lib/*/libtcmalloc_minimal.so.4 "$folder"; } >"$folder.log" 2>&1; then
        dpkg-deb --show --showformat '${Version}' "$folder"/*.deb >"$folder/.ready"
        echo "tcmalloc: unpacked $(cat "$folder/.ready")"
    else
        echo "tcmalloc: apt-get could not fetch libtcmalloc-minimal4; contestants with tcmalloc are left out" >&2
    fi
}

# checkout NAME URL PATH...: some of the sources, for what is not a package; FAIRSEQ and MOSES in the environment name
# other repositories.
checkout() {
    local folder=.peers/$1-checkout
    if [ -e "$folder/.ready" ]; then
        echo "$1: ready, $(cat "$folder/.ready")"
    elif { rm -rf "$folder" && git clone --depth 1 --no-checkout "$2" "$folder" &&
        git -C "$folder" checkout HEAD -- "${@:3}"; } >"$folder.log" 2>&1; then
        git -C "$folder" log -1 --format='%h of %as' >"$folder/.ready"
        echo "$1: cloned $(cat "$folder/.ready")"
    else
        echo "$1: could not clone $2, see $folder.log; what needs it is left out" >&2
    fi
}

tcmalloc
checkout fairseq "${FAIRSEQ:-https://github.com/facebookresearch/fairseq}" fairseq fairseq_cli scripts
checkout moses "${MOSES:-https://github.com/moses-smt/mosesdecoder}" scripts/training
environment fairseq sentencepiece==0.2.3 torch==2.13.0 \
    bitarray cython hydra-core numpy omegaconf regex sacrebleu scikit-learn tqdm
environment transformers transformers==5.23.0 torch==2.13.0 \
    huggingface_hub numpy packaging pyyaml regex safetensors sentencepiece tokenizers==0.23.3 tqdm typer
environment ctranslate2 ctranslate2==4.8.5 numpy pyyaml sentencepiece
environment pymarian pymarian==1.12.42 huggingface_hub portalocker pyyaml requests tqdm
environment opennmt OpenNMT-py==3.5.1 torch==2.13.0 \
    configargparse==1.9.0 ctranslate2==4.8.5 numpy pyonmttok==1.37.1 pyyaml sacrebleu sentencepiece six
environment joeynmt joeynmt==2.3.0 torch==2.13.0 \
    importlib_metadata==10.2.0 matplotlib==3.11.2 numpy packaging pyyaml sacrebleu safetensors sentencepiece subword-nmt==0.3.8 tensorboard==2.21.0 tqdm
environment argos argostranslate==1.11.0 torch==2.13.0 \
    ctranslate2==4.8.5 emoji==2.16.0 minisbd==0.9.5 networkx numpy onnxruntime==1.32.0 packaging protobuf requests \
    sacremoses==0.1.1 sentencepiece==0.2.3 stanza==1.10.1
PIP_CONSTRAINT='' environment libretranslate libretranslate==1.9.6 \
    ctranslate2==4.8.5 libretranslate==1.9.6 sentencepiece==0.2.3
exit $failed
