internal import KVMTrace
internal import KVMTypes

/// Tells before which runs events are missing for damage that no `.lost` record tells.
///
/// A run counts the damage of its page, which may lie before its events or behind them: so events may be missing before the first run that
/// counts it, and before the first one of the next page.
struct DamagedRuns {
  private var counts = StreamTable(none: 0)
  /// The page in which the damage lies that was found last, -1 where another one has begun since.
  private var pages = StreamTable(none: -1)

  /// Whether events may be missing between a run and the one before of its stream.
  @inline(__always)
  mutating func isBehindDamage(_ run: EventRun) -> Bool {
    run.damageCount > 0 && lacksEvents(before: run)
  }

  @inline(never)
  private mutating func lacksEvents(before run: EventRun) -> Bool {
    let stream = run.records[0].stream
    if counts[stream] < run.damageCount {
      counts[stream] = run.damageCount
      pages[stream] = run.pageOffset
      return true
    }
    guard pages[stream] >= 0, pages[stream] != run.pageOffset else { return false }
    pages[stream] = -1
    return true
  }
}
