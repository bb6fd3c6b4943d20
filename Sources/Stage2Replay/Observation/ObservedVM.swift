public import KVMTypes

/// A VM that has appeared.
public struct ObservedVM: Hashable, Sendable {
  /// The VM, as the report numbers them.
  public var id: Int
  /// The thread that created its slots, nil where nothing has told yet.
  public var creator: ThreadID?
  /// Whether it is a protected guest.
  public var isProtected: Bool

  /// A VM.
  public init(id: Int, creator: ThreadID?, isProtected: Bool) {
    (self.id, self.creator, self.isProtected) = (id, creator, isProtected)
  }
}

/// The memory of a VM's stage 2 from some moment on.
public struct ObservedMemory: Hashable, Sendable {
  /// The VM, as the report numbers them.
  public var vm: Int
  /// The moment: that of the operation that changed it.
  public var time: Nanoseconds
  /// What it occupies.
  public var sample: MemorySample
}
