import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Events that wait to be replayed")
struct RecordBufferTests {
  private func append(_ count: Int, cpu: UInt16, from time: Int, to buffer: inout RecordBuffer) {
    let records = (0..<count).map {
      TraceRecord(.entry, at: Nanoseconds(UInt64(time + $0)), cpu: CPUIndex(cpu), tid: ThreadID(1))
    }
    records.withUnsafeBufferPointer { buffer.append($0) }
  }

  @Test("They come out block by block in the order in which they went in, those of one CPU together")
  func order() {
    var buffer = RecordBuffer()
    append(3, cpu: 0, from: 0, to: &buffer)
    append(RecordBuffer.blockRecords, cpu: 1, from: 3, to: &buffer)
    append(2, cpu: 0, from: 3 + RecordBuffer.blockRecords, to: &buffer)
    #expect(buffer.count == RecordBuffer.blockRecords + 5)
    var runs: [Int] = []
    var times: [UInt64] = []
    while buffer.count > 0 {
      buffer.popFirst { records in
        runs.append(records.count)
        times += records.map(\.time.rawValue)
      }
    }
    #expect(runs == [3, RecordBuffer.blockRecords - 3, 3, 2])
    #expect(times == (0..<UInt64(RecordBuffer.blockRecords + 5)).map { $0 })
    buffer.popFirst { _ in runs.append(0) }
    #expect(runs.count == 4)
  }
}

@Suite("The beginning of a source that is read once")
struct TracePrefixTests {
  @Test("Damage between two runs of one CPU stays between them")
  func damage() throws {
    var prefix = TracePrefix(of: try Recordings.trace("kvm-vhe-7.3.4-two-guests.dat"))
    let records = (0..<6).map { TraceRecord(.entry, at: Nanoseconds($0), cpu: CPUIndex(2), tid: ThreadID(1)) }
    records.withUnsafeBufferPointer { records in
      for (begin, damage) in [(0, 0), (2, 1), (4, 1)] {
        EventRun.with(UnsafeBufferPointer(rebasing: records[begin..<begin + 2]), damageCount: damage) {
          prefix.append($0)
        }
      }
    }
    var runs: [[Int]] = []
    _ = prefix.forEachRun(.all) { runs.append([$0.records.count, $0.damageCount]) }
    #expect(runs == [[2, 0], [4, 1]])
  }

  @Test("Damage of one of a CPU's streams is none of another")
  func damageOfStreams() throws {
    var prefix = TracePrefix(of: try Recordings.trace("kvm-vhe-7.3.4-two-guests.dat"))
    for (lane, damage) in [(0, 0), (1, 1), (0, 0), (1, 1)] {
      var record = TraceRecord(.entry, at: Nanoseconds(1), cpu: CPUIndex(2), tid: ThreadID(1))
      record.lane = UInt8(lane)
      withUnsafePointer(to: record) {
        EventRun.with(UnsafeBufferPointer(start: $0, count: 1), damageCount: damage) { prefix.append($0) }
      }
    }
    var runs: [[Int]] = []
    _ = prefix.forEachRun(.all) { runs.append([Int($0.records[0].lane), $0.damageCount]) }
    #expect(runs == [[0, 0], [1, 1], [0, 0], [1, 1]])
  }
}
