internal import KVMTypes

/// The pages of one CPU whose events several writers recorded: each data source for ftrace reads the same pages of the kernel's buffers,
/// and writes those events of them that it was asked for. What two of them have is one event.
///
/// It is the same event only if stamp, kind, thread and all fields are the same, and the order in which each writer has the events with
/// that stamp allows it: a second event that one writer has stays.
///
/// A loss of the kernel's that several writers tell between the same events is one loss. What a writer's packets, or damage, took lies
/// anywhere between its last event and its next one, or behind its last one of all: each event there begins a page, and is told to be
/// behind a loss of an unknown number.
final class MergedPages: PageSupply {
  let cpu: UInt16
  private var merge: WriterMerge

  /// - Parameters:
  ///   - sources: the pages of each writer, one at least.
  ///   - pageBytes: how long those are.
  init(_ sources: [BundlePages], _ identity: EventIdentity, pageBytes: Int) {
    cpu = sources[0].cpu
    merge = WriterMerge(sources, identity, pageBytes: pageBytes)
  }

  var pageOffset: Int { merge.pageOffset }
  var isBehindGap: Bool { merge.isBehindGap }
  var repeatsLoss: Bool { merge.repeatsLoss }
  var damage: DamageLog {
    get { merge.damage }
    set { merge.damage = newValue }
  }

  func next() -> UnsafeRawBufferPointer? { merge.next() }
}
