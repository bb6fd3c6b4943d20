/// A place in a thread's stream of events that predicted and recorded operations share: how many kvm_entry and how
/// many notifier events the thread had before.
struct ThreadPlace: Hashable, Comparable {
  var windows: UInt32
  var notifiers: UInt32

  static func < (a: ThreadPlace, b: ThreadPlace) -> Bool {
    (a.windows, a.notifiers) < (b.windows, b.notifiers)
  }
}
