/// How many VMs share the address space that notifiers speak of, as far as runs of identical events have shown: each
/// notification comes once for every one of them.
struct NotifierCopies {
  /// The copies of a notification.
  var count = 1
  /// How many runs more agreed than disagreed with that, up to `agreementMax`.
  private var agreement = 0
  private static let agreementMax = 8

  /// Whether so many runs were alike that a longer one is more than one notification.
  var isSettled: Bool { agreement >= Self.agreementMax / 2 }

  /// A run has ended.
  ///
  /// - Parameter inOneProcess: whether one process has all VMs; else the next run may be another process's.
  mutating func note(_ length: Int, inOneProcess: Bool) {
    guard length != count else {
      agreement = min(agreement + 1, Self.agreementMax)
      return
    }
    agreement = max(agreement - 1, 0)
    if agreement == 0 || !inOneProcess { self = NotifierCopies(count: length) }
  }

  /// A VM came or went.
  mutating func forget() { agreement = 0 }

  init(count: Int = 1) { self.count = count }
}

/// What a notifier's event is to the identical one that its thread emitted just before.
enum NotifierRepetition {
  /// There was none, or this is another notification of the same range.
  case none
  /// The same notification, as another VM of the address space gets it.
  case copy
  /// It is taken for another notification, while nothing has shown yet how many VMs share the address space.
  case open
  /// The part of the trace that is replayed begins here for its thread: it may be a copy of one that came before.
  case unseen
}
