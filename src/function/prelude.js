// Runs before the file of a function, in the same fresh realm. Takes the way out to the log, and gives back what
// the engine needs: nothing that the file can reach.
(function (log, input) {
  'use strict';
  const { parse, stringify } = JSON;
  const { Error, InternalError, RangeError, TypeError, String, Promise, Object, Reflect } = globalThis;
  const { defineProperty, getPrototypeOf, create, assign, freeze } = Object;
  const { apply } = Reflect;
  const then = Promise.prototype.then;
  const slice = String.prototype.slice;
  const { arguments: given, context } = parse(input);

  // Text never becomes code: not by `eval`, not by a constructor of functions, which every function leads to.
  const refuse = function Function() { throw new TypeError('text is not run as code here'); };
  const makers = [function () {}, async function () {}, function* () {}, async function* () {}];
  for (const made of makers) {
    defineProperty(getPrototypeOf(made), 'constructor', { value: refuse, writable: false, configurable: false });
  }
  defineProperty(refuse, 'prototype', { value: getPrototypeOf(refuse), writable: false });
  defineProperty(globalThis, 'Function', { value: refuse, writable: false, configurable: false });
  delete globalThis.eval;

  // Writable, so that a value may be called `get`: it is read as a property then.
  const own = create(create(null, { get: { value: (name) => own[name], writable: true } }));
  context.values = assign(own, context.values);
  context.runningAsSystem = () => context.user.type === 'system';
  globalThis.context = context;

  const shown = (value) => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return String(value);
    if (typeof value !== 'object' || value === null) return String(value);
    return stringify(value) ?? String(value);
  };
  const say = (level) => (...values) => {
    let line = '';
    for (const value of values) line += (line && ' ') + apply(slice, shown(value), [0, 2048]);
    log(level, line);
  };
  globalThis.console = freeze({ log: say('info'), info: say('info'), debug: say('debug'), warn: say('warn'), error: say('error') });
  globalThis.exports = {};

  // What was thrown, whatever it was, as text: [kind, message, place].
  const describe = (thrown) => {
    try {
      if (!(thrown instanceof Error)) return ['thrown', apply(slice, shown(thrown), [0, 2048]), ''];
      const message = apply(slice, String(thrown.message), [0, 2048]);
      const place = apply(slice, String(thrown.stack), [0, 2048]);
      if (thrown instanceof InternalError && message.startsWith('out of memory')) return ['memory', message, place];
      if (thrown instanceof RangeError && message === 'Maximum call stack size exceeded') return ['stack', message, place];
      return ['thrown', message, place];
    } catch {
      return ['thrown', 'a value that cannot be shown', ''];
    }
  };

  const outcome = create(null);
  outcome.describe = describe;
  outcome.call = (f) => {
    const settled = apply(then, (async () => apply(f, undefined, given))(), [
      (value) => { outcome.answer = stringify(value); outcome.state = 'returned'; },
    ]);
    apply(then, settled, [undefined, (thrown) => { outcome.thrown = describe(thrown); outcome.state = 'thrown'; }]);
  };
  outcome.state = 'pending';
  return outcome;
})
