"""Shows that two chat templates render the same text: compare_template.py A.gguf B.gguf [--cases N] [--seed S] [--dump FILE]

A and B are GGUF files (their tokenizer.chat_template is read) or .jinja files; A counts as the reference.  Compared are
  eval   the conversations of ../eval, from the first request to a follow-up after the tool's result
  fixed  hand-written conversations with the less usual shapes
  fuzz   N random conversations
each with thinking on, off and not set, with and without a generation prompt.  A case that A refuses (it raises) is only counted:
there B may do as it likes.  --dump writes the conversations as JSON lines, for a comparison through another engine."""
import argparse, itertools, json, os, random, sys
from jinja2.sandbox import ImmutableSandboxedEnvironment
EVAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'eval')

def source(path):
    if path.endswith('.jinja'): return open(path, encoding='utf-8').read()
    from gguf import GGUFReader
    return GGUFReader(path).fields['tokenizer.chat_template'].contents()

def msg(role, content=None, **more): return dict({'role': role, 'content': content}, **more)
def ask(name='f', args=None, cid='1'): return {'id': cid, 'type': 'function', 'function': {'name': name, 'arguments': {} if args is None else args}}
def told(content, cid='1', **more): return msg('tool', content, tool_call_id=cid, **more)
def tool(params=None, name='f', **more): return {'type': 'function', 'function': dict({'name': name, 'description': 'Does it.'}, **({} if params is None else {'parameters': params}), **more)}
def text(t): return {'type': 'text', 'text': t}
USER = msg('user', 'Hello')

def eval_cases():
    """(messages, tools) of every evaluation case"""
    load = lambda f: json.load(open(os.path.join(EVAL, f)))
    def both(m, t=None):
        yield m, t
        yield [dict(x, content=[text(x['content'])]) if x['role'] != 'system' and isinstance(x.get('content'), str) and x['role'] != 'tool' else x for x in m], t
    for p in load('prompts.json'):
        yield from both(p['messages'], p.get('tools'))
        yield from both(p['messages'] + [msg('assistant', p['expect']), msg('user', 'Thanks!')], p.get('tools'))
    for t in load('tools.json'):
        for want in [t['expect']] + t.get('also', []):
            call = msg('assistant', '', tool_calls=[ask(want['name'], want['arguments'], 'call_1')])
            m = t['messages']; yield from both(m, t['tools'])
            m = m + [call, told(t['tool_result'], 'call_1')]; yield from both(m, t['tools']); yield m[:-2] + [dict(call, reasoning_content='The tool knows it.')] + m[-1:], t['tools']
            m = m + [msg('assistant', t['expect_after'] or 'Done.'), msg('user', 'Thanks!')]; yield from both(m, t['tools'])
    for im in load('images.json'):
        hist = []
        for q in im['qa']:
            m = msg('user', [{'type': 'image'}, text(q['question'])]); yield [m], None
            yield [msg('user', m['content'][::-1])], None
            hist = hist + [m]; yield hist, None
            hist = hist + [msg('assistant', q['answer'])]
    k = load('known.json')
    for c in k['cases']:
        yield from both(c['messages']); yield from both(c['messages'], k['tools'])
        if 'expect_call' in c:
            w = c['expect_call']; m = c['messages'] + [msg('assistant', None, tool_calls=[ask(w['name'], w['arguments'], 'x')]), told('ok', 'x')]
            yield m, k['tools']; yield m + [msg('assistant', 'Done.'), USER], k['tools']
        else: yield c['messages'] + [msg('assistant', c['expect'] if isinstance(c['expect'], str) else json.dumps(c['expect'])), USER], k['tools']

def fixed_cases():
    S = lambda c, r='system': msg(r, c)
    A = lambda c='', calls=None, **k: msg('assistant', c, **(k if calls is None else dict(k, tool_calls=calls)))
    talks = [[USER], [S(' a\n'), USER], [S('a', 'developer'), USER], [S('a'), S('b'), USER], [S('a'), S('b', 'developer'), USER], [S('a', 'developer'), S('b'), USER], [USER, S('late'), USER], [S('')], [S('only')],
             [S([text('a '), text('b')]), USER], [S([]), USER], [msg('system'), USER], [{'role': 'system'}, USER], [{'role': 'user'}], [msg('user', ' ')], [msg('user', [])], [USER, USER],
             [msg('user', [text(' a '), {'type': 'image'}, text(' b\n'), {'type': 'audio'}, {'type': 'video'}, {'type': 'other', 'text': 'x'}, text('')])],
             [USER, A('a'), A('b'), USER], [USER, A(' a '), USER], [USER, A(None), USER], [A('first'), USER], [USER, msg('model', 'm'), A('a')], [USER, A('a'), msg('model', 'm')], [USER, A([text(' a '), {'type': 'image'}, text(' b ')]), USER],
             [USER, A('<|channel>thought\nhm\n<channel|> yes'), USER], [USER, A('a <|channel>q<channel|> b <|channel>r<channel|> c'), USER], [USER, A(' a <channel|> b <|channel> c'), USER], [msg('user', 'a<|channel>thought\nx<channel|>b')],
             [USER, A('a', reasoning_content='t'), USER], [USER, A('a', reasoning='t')], [USER, A('', [ask()], reasoning='A', reasoning_content='B')], [USER, A('', [ask()], reasoning='', reasoning_content='B')], [USER, A('', [ask()], reasoning_content='')],
             [USER, A('', [ask()], reasoning_content=' t '), told('r')], [USER, A('', [ask()], reasoning_content='t'), told('r'), A('a'), USER], [S('s'), USER, A('', [ask()], reasoning_content='t'), told('r'), A('', [ask('g', cid='2')], reasoning_content='u'), told('q', '2')],
             [USER, A('', [ask()])], [USER, A(' a ', [ask()])], [USER, A(' a ', [ask()]), told(' r ')], [USER, A('', [ask()]), told('r'), A(' b ')], [USER, A('', [ask()]), told('r'), USER], [USER, A('', [ask()]), USER], [USER, A('', [ask()]), A('b')],
             [USER, A('', [ask('f', cid='1'), ask('g', {'x': 1}, '2')]), told('1'), told('2', '2')], [USER, A('', [ask('f', cid='1'), ask('g', cid='2')]), told('2', '2'), told('1')], [USER, A('', [ask('f', cid='1'), ask('g', cid='2')]), told('1')],
             [USER, A('', [ask()]), told('r', '9', name='n')], [USER, A('', [ask()]), told('r', name='n')], [USER, A('', [ask('f', cid='1'), ask('g', cid='1')]), told('r')], [USER, told('r')], [told('r'), USER], [USER, A('a'), told('r'), A('b')],
             [USER, A('', [ask()]), told([text(' a '), text('b'), {'type': 'image'}])], [USER, A('', [ask()]), told('')], [USER, A('', [ask()]), told([])], [USER, A('', [ask()]), told(7)], [USER, A('', [ask()]), told(None)], [USER, A('', [ask()]), told([text('a'), {'type': 'image'}]), A('b'), USER],
             [USER, A('', [ask(args='{"a": 1}')])], [USER, A('', [ask(args=[1])])], [USER, A('', [{'id': '1', 'type': 'function', 'function': {'name': 'f'}}]), told('r')], [USER, A('', [{'type': 'function', 'function': {'name': 'f', 'arguments': {}}}]), msg('tool', 'r')],
             [USER, A('', [ask(args={'b': 1, 'A': 'x', 'c': [1, 'y', None, True, 1.5, []], 'd': {'k': 'v', 'Z': {}}, 'e': None, 'f': False, '': '', 'items': 'i', 'get': 0})]), told('{"a": 1}')],
             [USER, A('x', [])], [USER, A('x', tool_calls=None)], [USER, A('a', [ask()]), told('r'), A('b', [ask('g', cid='2')]), told('q', '2'), A('c'), USER], [USER, A(' ', [ask()]), told('r'), A(' '), USER], [USER, A([text(' ')], [ask()]), told('r')], [USER, A([{'type': 'image'}], [ask()])],
             [msg('user', 'U', tool_calls=[ask()]), told('r')], [USER, msg('robot', 'beep'), USER], [USER, A('a'), S('s'), A('b')], [USER, A('', [ask()]), told('r'), S('s')]]
    R = lambda *rs, c='', calls=True: [USER, A(c, [ask()] if calls else None, tool_responses=list(rs))]
    f = {'name': 'f', 'response': 'r'}
    talks += [R(f), R(f, c='a'), R(f, calls=False), R(f, c='a', calls=False), R(), R() + [told('q')], R(f) + [told('q')], R(f) + [A('b'), USER], R({'response': 'r'}), R({'name': 'f', 'response': {'b': 1, 'A': {'k': 'v'}}}), R({'name': 'f', 'response': [1, 'a']}), R({'name': 'f', 'response': None}), R({'name': 'f'}), R(f, {'name': 'g', 'response': 2.5})]
    st = {'type': 'string'}; ob = {'type': 'object', 'description': 'o', 'properties': {'y': dict(st, description='Y'), 'x': {'type': 'integer'}}, 'required': ['y', 'x']}
    specs = [{}, {'description': 'd'}, st, dict(st, type='STRING', enum=['a', 'b']), dict(st, enum=[]), dict(st, enum=['a', None, 3, True, {'k': 1}]), {'type': 'integer', 'enum': [1]}, dict(st, nullable=True, description='d', enum=['x']), dict(st, nullable=False), {'type': ['string', 'null'], 'description': 'd'}, {'type': ''}, {'type': None},
             {'anyOf': [st], 'description': 'd'}, {'type': 'number', 'format': 'double', 'default': 3, 'minimum': 1}, {'type': 'array'}, {'type': 'array', 'items': {}}, {'type': 'array', 'items': [st]}, {'type': 'array', 'items': dict(st, description='d', enum=['a'])}, {'type': 'array', 'nullable': True, 'description': 'd', 'items': dict(ob, nullable=True, additionalProperties=False, default=None)},
             {'type': 'array', 'items': {'type': 'array', 'items': {'type': 'integer', 'minimum': 3}}}, {'type': 'array', 'items': {'type': ['string', 'null']}}, {'type': 'array', 'items': {'description': 'x'}}, {'type': 'array', 'items': {'type': 'object', 'properties': {}, 'required': []}}, {'type': 'array', 'items': dict(st, minLength=1, flag=True, lst=['a', 1], f=1.5)},
             ob, dict(ob, nullable=True), {'type': 'object'}, {'type': 'object', 'title': 'T', 'foo': st}, {'type': 'object', 'additionalProperties': st}, {'type': 'object', 'properties': {}}, {'type': 'object', 'required': ['q']}, {'type': 'object', 'properties': {'a': dict(ob, properties={'b': {'type': 'array', 'items': ob}})}}, {'type': 'boolean', 'description': ' <|"|> \n'}]
    sets = [[tool(s)] for s in (None, {}, {'type': 'object'}, {'type': 'object', 'properties': {}}, {'properties': {'a': st}}, {'required': ['a']}, {'type': 'object', 'required': []}, dict(ob, additionalProperties=False))]
    sets += [[tool({'type': 'object', 'properties': {'p': s}})] for s in specs]
    sets += [[tool({'type': 'object', 'properties': {k: st for k in ('b', 'B', 'a_', 'aB', 'description', 'type', 'items', 'name', 'enum', 'nullable', 'properties', 'required', 'get', 'keys')}})], [tool(ob), tool(name=' g '), tool(ob, 'h', description='')]]
    sets += [[tool(ob, response=r)] for r in ({'type': 'object', 'description': 'R'}, {'type': 'string', 'description': 'R'}, {'type': 'object'}, {}, {'description': 'q'}, ob)] + [[{'type': 'function', 'function': {'name': 'bare'}}]]
    for m in talks:
        yield m, None
        yield m, [tool(ob)]
    for t in sets:
        for m in ([USER], [msg('system', 's'), USER]): yield m, t

WORDS = ['alpha', 'Beta', 'two words', ' padded ', 'line\nbreak', '', 'naïve 日本', '<|tool_call>call:x{}', '<|channel>thought\nhm\n<channel|>so', 'a<channel|>b', '<turn|>', '<|"|>', '{"k": [1, 2.5, null]}', "it's", '"', '\t', '0']
def fuzz_case(r):
    w = lambda: r.choice(WORDS)
    maybe = lambda p, d: d if r.random() < p else {}
    name = lambda: r.choice(['read_file', 'Search', 'get', 'items', 'a-b', 'z9', 'keys', 'type', 'name', 'Zeta', 'properties', 'query', 'description'])
    def value(d=0):
        k = r.randrange(8 if d < 3 else 5)
        if k > 6: return {name(): value(d + 1) for _ in range(r.randint(0, 3))}
        if k > 5: return [value(d + 1) for _ in range(r.randint(0, 3))]
        return (w(), r.randint(-9, 999), r.choice([0.5, -2.0, 1e20, 3.25]), r.random() < .5, None, w())[k]
    def schema(d=0):
        t = r.choice(['string', 'string', 'integer', 'number', 'boolean', 'array', 'object', 'STRING', 'Array', 'null', ['string', 'null'], ['array', 'object']]) if d < 3 else 'string'
        s = maybe(.93, {'type': t}); s.update(maybe(.6, {'description': w()})); s.update(maybe(.25, {'enum': [value(2) for _ in range(r.randint(0, 3))]})); s.update(maybe(.15, {'nullable': r.choice([True, False, 'no', None])}))
        s.update(maybe(.15, r.choice([{'default': value(1)}, {'minimum': 1}, {'title': w()}, {'anyOf': [{'type': 'string'}]}, {'format': 'date'}, {'additionalProperties': r.choice([False, {'type': 'string'}])}])))
        if d < 3:
            if str(t).lower() == 'array' or r.random() < .05: s.update(maybe(.85, {'items': r.choice([{}, [{'type': 'string'}]]) if r.random() < .15 else schema(d + 1)}))
            if t == 'object' or r.random() < .05: s.update(maybe(.8, {'properties': {name(): schema(d + 1) for _ in range(r.randint(0, 4))}})); s.update(maybe(.5, {'required': [name() for _ in range(r.randint(0, 3))]}))
        return s
    def params():
        p = {'type': 'object', 'properties': {name(): schema() for _ in range(r.randint(0, 4))}}
        if r.random() < .7: p['required'] = [name() for _ in range(r.randint(0, 3))]
        if r.random() < .2: p.pop(r.choice(list(p)))
        if r.random() < .1: p['additionalProperties'] = False
        return p
    def decl():
        f = dict({'name': name(), 'description': w()}, **maybe(.9, {'parameters': params()}), **maybe(.08, {'response': r.choice([{'type': 'object', 'description': w()}, {'description': w()}, schema()])}))
        if r.random() < .05: f.pop('description')
        return {'type': 'function', 'function': f}
    def content():
        k = r.random()
        if k < .7: return w() if r.random() < .5 else w() + w()
        if k < .78: return None
        return [r.choice([text(w()), text(w()), {'type': r.choice(['image', 'audio', 'video', 'other'])}]) for _ in range(r.randint(0, 4))]
    def turn(role):
        m = msg(role, content())
        if r.random() < .03: m.pop('content')
        return m
    m = []; n = 0
    if r.random() < .4: m.append(msg(r.choice(['system', 'system', 'developer']), r.choice([w(), w(), w(), [text(w())], None])))
    for _ in range(r.randint(1, 5)):
        k = r.random()
        if k < .8: m.append(turn('user'))
        elif k < .86: m.append(turn(r.choice(['system', 'developer', 'model', 'robot'])))
        for _ in range(r.choice([0, 1, 1, 1, 2, 3])):
            a = turn('assistant'); a.update(maybe(.3, {r.choice(['reasoning', 'reasoning_content']): r.choice([w(), 'thinking', None])}), **maybe(.05, {'reasoning_content': w()}))
            if r.random() < .55:
                ids = []; a['tool_calls'] = []
                for _ in range(r.choice([0, 1, 1, 1, 2, 3])):
                    n += 1; c = ask(name(), r.choice(['{"a": 1}', 'raw', None, []]) if r.random() < .1 else {name(): value() for _ in range(r.randint(0, 4))}, f'id{n if r.random() < .95 else 1}')
                    if r.random() < .04: c.pop('id')
                    a['tool_calls'].append(c); ids.append(c.get('id'))
                if r.random() < .08: a['tool_responses'] = [dict(maybe(.9, {'name': name()}), response=value()) for _ in range(r.randint(0, 2))]
                m.append(a); r.random() < .15 and r.shuffle(ids)
                for i in ids[:len(ids) if r.random() < .85 else r.randint(0, len(ids))]:
                    t = msg('tool', r.choice([w(), w(), w(), [text(w()) for _ in range(r.randint(0, 2))], [text(w()), {'type': 'image'}], 5, True]), **({} if i is None else {'tool_call_id': i if r.random() < .97 else 'none'})); t.update(maybe(.5, {'name': name()})); m.append(t)
            else:
                m.append(a)
                if r.random() < .05: m.append(told(w(), 'id1', name='orphan'))
    if not m: m = [USER]
    return m, [decl() for _ in range(r.randint(1, 4))] if r.random() < .45 else r.choice([None, []])

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter); ap.add_argument('a'); ap.add_argument('b')
    ap.add_argument('--cases', type=int, default=4000); ap.add_argument('--seed', type=int, default=1); ap.add_argument('--dump'); o = ap.parse_args()
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)   # as transformers sets it up
    A, B = (env.from_string(source(p)) for p in (o.a, o.b)); out = open(o.dump, 'w') if o.dump else None; bad = 0
    def show(t, **k):
        try: return t.render(bos_token='<bos>', eos_token='<eos>', **k)
        except Exception as e: return e
    print('seed', o.seed)
    for kind, cases in (('eval', eval_cases()), ('fixed', fixed_cases()), ('fuzz', (fuzz_case(random.Random(f'{o.seed}:{i}')) for i in range(o.cases)))):
        n = convs = same = refused = 0
        for messages, tools in cases:
            convs += 1
            if out: out.write(json.dumps({'kind': kind, 'messages': messages, 'tools': tools}) + '\n')
            for think, prompt in itertools.product((None, False, True), (False, True)):
                k = dict({'messages': messages, 'add_generation_prompt': prompt}, **({} if tools is None else {'tools': tools}), **({} if think is None else {'enable_thinking': think}))
                a, b = show(A, **k), show(B, **k); n += 1
                if isinstance(a, Exception): refused += 1
                elif isinstance(b, str) and a == b: same += 1
                elif (bad := bad + 1) < 4: print('--- DIFFERENT\n' + json.dumps({x: y for x, y in k.items() if x != 'tools' or y and len(y) < 2}) + f'\nA {a[-600:]!r}\nB {b[-600:] if isinstance(b, str) else b!r}')
        print(f'{kind}: {convs} conversations, {n} renderings: {same} the same, {n - same - refused} different, {refused} that A refuses')
    sys.exit(bad > 0)
if __name__ == '__main__': main()
