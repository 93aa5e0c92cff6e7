import { invalid } from '#errors/errors.ts';
import { formatPlatform, type Platform, parsePlatform } from '#oci/platform.ts';

type Values = Readonly<Record<string, string>>;

/** What annotations may be written on. */
export interface Annotations {
  readonly manifest: Values;
  /** On the descriptor of the manifest. */
  readonly 'manifest-descriptor': Values;
  readonly index: Values;
  readonly 'index-descriptor': Values;
}

type AnnotationType = keyof Annotations;

interface Annotation {
  readonly type: AnnotationType;
  /** undefined: of every platform. */
  readonly platform: string | undefined;
  readonly key: string;
  readonly value: string;
}

const KEY = /^annotation(?:-([a-z-]+))?(?:\[([A-Za-z0-9_/-]+)\])?\.(\S+)$/;
const TYPES: readonly string[] = ['manifest', 'manifest-descriptor', 'index', 'index-descriptor'];

/** The annotations of a build: `annotation[-TYPE][[PLATFORM]].KEY` among an exporter's attributes or a result's metadata. */
export class AnnotationSet {
  readonly #all: readonly Annotation[];

  private constructor(all: readonly Annotation[]) {
    this.#all = all;
  }

  /** Takes them out of `attrs` and answers the rest too. Throws `invalid`. */
  static parse(attrs: Values): { annotations: AnnotationSet; rest: Record<string, string> } {
    const all: Annotation[] = [];
    const rest: Record<string, string> = {};
    for (const [name, value] of Object.entries(attrs)) {
      const match = KEY.exec(name);
      if (!match) {
        rest[name] = value;
        continue;
      }
      const [, type = 'manifest', platform, key = ''] = match;
      if (!TYPES.includes(type)) throw invalid(`unrecognized annotation type ${type}`);
      if (platform !== undefined && type.startsWith('index')) {
        throw invalid(`platform ${platform} specified for ${type} annotation ${key}`);
      }
      all.push({
        type: type as AnnotationType,
        platform: platform === undefined ? undefined : formatPlatform(parsePlatform(platform)),
        key,
        value,
      });
    }
    return { annotations: new AnnotationSet(all), rest };
  }

  /** Those of `other` win. */
  with(other: AnnotationSet): AnnotationSet {
    return new AnnotationSet([...this.#all, ...other.#all]);
  }

  for(platform: Platform): Annotations {
    const name = formatPlatform(platform);
    const of = (type: AnnotationType): Values =>
      Object.fromEntries(
        this.#all
          .filter((one) => one.type === type && (one.platform === undefined || one.platform === name))
          // What is said of one platform wins.
          .sort((a, b) => Number(a.platform !== undefined) - Number(b.platform !== undefined))
          .map(({ key, value }) => [key, value]),
      );
    return {
      manifest: of('manifest'),
      'manifest-descriptor': of('manifest-descriptor'),
      index: of('index'),
      'index-descriptor': of('index-descriptor'),
    };
  }

  /** Throws `invalid` for a platform that the result has not. */
  expectPlatforms(platforms: readonly Platform[]): void {
    const known = new Set(platforms.map(formatPlatform));
    for (const { platform } of this.#all) {
      if (platform !== undefined && !known.has(platform)) {
        throw invalid(`invalid annotation: no platform ${platform} found in source`);
      }
    }
  }

  /** Whether there are any that Docker's own media types have no place for. */
  get needOci(): boolean {
    return this.#all.some(({ type }) => type !== 'manifest');
  }

  get onIndex(): boolean {
    return this.#all.some(({ type }) => type.startsWith('index'));
  }
}
