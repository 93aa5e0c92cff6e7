import { ConmonMachine } from './conmon-machine.ts';
import { runtimeContract } from './runtime-contract.ts';

runtimeContract('runc under conmon', () => ConmonMachine.make());
