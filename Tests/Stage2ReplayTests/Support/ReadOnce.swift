import KVMTrace
import KVMTypes

/// Another source, which can be read once.
final class ReadOnce<Source: EventSource>: EventSource {
  private let source: Source
  private var passes = 0

  init(_ source: Source) { self.source = source }

  var pageSize: PageSize? { source.pageSize }
  var pageBytesMax: Int? { source.pageBytesMax }
  var uname: String { source.uname }
  var hasOperationProbes: Bool { source.hasOperationProbes }
  var account: SourceAccount { source.account }
  var path: String { source.path }
  var format: String { source.format }
  var canBeReadTwice: Bool { false }
  var cpuCount: Int { source.cpuCount }
  var clock: TraceClock? { source.clock }
  var damage: [Damage] { source.damage }

  func command(of tid: ThreadID) -> String? { source.command(of: tid) }

  func forEachRun(
    _ selection: EventSelection, _ body: (EventRun) throws -> Void
  ) rethrows -> EventStatistics {
    passes += 1
    guard passes == 1 else { return EventStatistics() }
    return try source.forEachRun(selection, body)
  }
}
