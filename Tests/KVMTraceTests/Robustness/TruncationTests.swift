import Foundation
import Testing

@testable import KVMTrace
import UnnamedFiles

/// A file that ends early: the cut is reported, and every page that is there as a whole is used.
@Suite("Cut files")
struct TruncationTests {
  /// Every how many bytes a file is cut, besides at all places that matter; `PKVM_REPLAY_EVERY=1` for every byte.
  static let step = ProcessInfo.processInfo.environment["PKVM_REPLAY_EVERY"].flatMap { Int($0) } ?? 29

  /// What is whole before which byte.
  private struct Layout {
    /// The ends of pages or chunks, and the events in each.
    var ends: [(offset: Int, events: Int)]
    /// A place where the file can end without missing anything that describes events.
    var complete: Int
  }

  @Test("every cut is reported and costs no whole page", arguments: SmallTrace.allCases)
  func cuts(trace: SmallTrace) throws {
    let (bytes, pages) = try trace.build()
    let file = try UnnamedFile(bytes)
    let layout = try layout(trace, file.path, pages, bytes.count)
    #expect(try Exercise(path: file.path).events == UInt64(pages.reduce(0) { $0 + $1.events }))
    let around = (layout.ends.map(\.offset) + [layout.complete]).flatMap { ($0 - 2)...($0 + 2) }
    let cuts = Set(Array(stride(from: 0, to: bytes.count, by: Self.step)) + around).filter {
      $0 < bytes.count
    }
    // From the end to the front, the file is only ever made shorter.
    for cut in cuts.sorted(by: >) {
      try #require(truncate(file.path, cut) == 0)
      let expected = layout.ends.reduce(0) { $1.offset <= cut ? $0 + $1.events : $0 }
      do {
        let exercise = try Exercise(path: file.path)
        #expect(!exercise.damage.isEmpty || cut == layout.complete, "the cut at byte \(cut) is not reported")
        #expect(exercise.damage.allSatisfy { $0.offset <= cut }, "damage behind the cut at byte \(cut)")
        #expect(exercise.events == expected, "cut at byte \(cut)")
      } catch {
        #expect(expected == 0 && error.line.contains(file.path), "cut at byte \(cut): \(error.line)")
      }
    }
  }

  private func layout(
    _ trace: SmallTrace, _ path: String, _ pages: [SmallTrace.Page], _ count: Int
  ) throws -> Layout {
    let contents = try TraceDatOpener.open(try FileBytes(path: path))
    let file = try FileBytes(path: path)
    var left = pages[...]
    var ends: [(offset: Int, events: Int)] = []
    for buffer in contents.buffers {
      for area in buffer.areas {
        var reader = ByteReader(file, bigEndian: contents.bigEndian, at: area.offset)
        let chunks = buffer.isCompressed ? Int(try reader.u32()) : area.count / buffer.pageBytes
        for _ in 0..<chunks {
          if buffer.isCompressed {
            let packed = try reader.u32()
            let plain = try reader.u32()
            #expect(Int(plain) == buffer.pageBytes)
            try reader.skip(UInt64(packed))
          } else {
            try reader.skip(UInt64(buffer.pageBytes))
          }
          try #require(!left.isEmpty)
          ends.append((reader.offset, left.removeFirst().events))
        }
      }
    }
    #expect(left.isEmpty)
    // In a version 7 file the descriptions of sections, which nothing needs, stand last: id 15.
    guard contents.version == 7 else { return Layout(ends: ends, complete: count) }
    let reader = TraceDatV7(file: file, bigEndian: contents.bigEndian, compression: .none)
    var start = ByteReader(file, bigEndian: contents.bigEndian, at: 18)
    _ = try start.nulTerminated()
    _ = try start.nulTerminated()
    let last = try #require(reader.walk(from: start.offset + 8).last)
    #expect(last.id == 15 && !last.isCut)
    return Layout(ends: ends, complete: last.offset)
  }
}
