// Loaded before anything else of a process: see wrong-clock.ts.
const ahead = Number(process.env.TEST_CLOCK_AHEAD);
const real = Date.now;
const now = () => real() + ahead;

globalThis.Date = new Proxy(Date, {
  construct: (target, args, called) => Reflect.construct(target, args.length === 0 ? [now()] : args, called),
  get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
});
