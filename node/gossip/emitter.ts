/** A list of listeners for one kind of occurrence. */
export interface Emitter<T> {
  /** @returns removes the listener */
  on(listener: (value: T) => void): () => void;
  emit(value: T): void;
}

/** @param onFault told of what a listener threw; the others are called all the same */
export function createEmitter<T>(onFault: (fault: unknown) => void): Emitter<T> {
  const listeners = new Set<(value: T) => void>();
  return {
    on(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    emit(value) {
      for (const listener of listeners) {
        try {
          listener(value);
        } catch (fault) {
          onFault(fault);
        }
      }
    },
  };
}
