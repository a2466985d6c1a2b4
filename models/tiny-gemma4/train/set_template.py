"""Puts a chat template into a GGUF file: set_template.py IN.gguf TEMPLATE.jinja OUT.gguf   (OUT may be IN)

Only the value of tokenizer.chat_template changes; every other key, its type and place, and every tensor stay as they are.
The result is read back and compared with IN before it takes OUT's place.  Needs the Python package gguf."""
import hashlib, os, sys
from gguf import GGUFReader, GGUFValueType, GGUFWriter
KEY = 'tokenizer.chat_template'

def keys(reader):
    """every key but the reader's own GGUF.* (version and counts): name -> (types, value)"""
    return {f.name: (f.types, f.contents()) for f in reader.fields.values() if not f.name.startswith('GGUF.')}

def write(src, template, path):
    w = GGUFWriter(path, src.fields['general.architecture'].contents(), endianess=src.endianess); w.data_alignment = src.alignment
    for name, (types, value) in keys(src).items():
        if name == 'general.architecture': continue   # the writer has put it first
        w.add_key_value(name, template if name == KEY else value, types[0], sub_type=types[-1] if types[0] == GGUFValueType.ARRAY else None)
    for t in src.tensors: w.add_tensor_info(t.name, t.data.shape, t.data.dtype, t.data.nbytes, t.tensor_type)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_ti_data_to_file()
    for t in src.tensors: w.write_tensor_data(t.data, tensor_endianess=src.endianess)
    w.close()

def check(a, b, template):
    """b is a with another template; returns the numbers of keys and tensors that are equal, and a hash over all tensor bytes"""
    ka, kb = keys(a), keys(b); h = hashlib.sha256()
    assert list(ka) == list(kb), 'keys differ'
    for k in ka: assert kb[k] == ((ka[k][0], template) if k == KEY else ka[k]), f'{k} differs'
    for x in ('version', 'tensor_count', 'kv_count'): assert a.fields['GGUF.' + x].contents() == b.fields['GGUF.' + x].contents(), x
    assert (a.endianess, a.alignment, len(a.tensors)) == (b.endianess, b.alignment, len(b.tensors)) and b.data_offset % b.alignment == 0
    for s, t in zip(a.tensors, b.tensors):
        assert (s.name, s.tensor_type, list(s.shape), s.n_bytes, s.data_offset - a.data_offset) == (t.name, t.tensor_type, list(t.shape), t.n_bytes, t.data_offset - b.data_offset), s.name
        assert s.data.dtype == t.data.dtype and s.data.tobytes() == t.data.tobytes(), s.name
        h.update(t.data.tobytes())
    return len(ka) - 1, len(a.tensors), h.hexdigest()

if __name__ == '__main__':
    if len(sys.argv) != 4: sys.exit(__doc__)
    src, template, out = GGUFReader(sys.argv[1]), open(sys.argv[2], encoding='utf-8', newline='').read(), sys.argv[3]
    names = [k for k in keys(src) if k.startswith(KEY)]
    if names != [KEY]: sys.exit(f'{sys.argv[1]}: expected just {KEY}, found {names or "no template"}')
    write(src, template, out + '.new')
    n, t, h = check(src, GGUFReader(out + '.new'), template)
    os.replace(out + '.new', out)
    data = open(out, 'rb').read()
    print(f'{out}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}\n  {n} other keys and {t} tensors unchanged, sha256 of the tensor bytes {h}')
