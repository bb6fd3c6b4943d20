import Foundation
import KVMTrace
import Testing
import UnnamedFiles

/// Files of a few megabytes whose metadata is made up of nothing but small parts: neither time nor memory grows with more than their
/// length.
@Suite("Forged metadata")
struct ForgedMetadataTests {
  enum Forgery: String, CaseIterable, Codable, Sendable {
    /// Version 7, options that all name a section of event formats, each another one.
    case sections
    /// Version 7, options that all are damage.
    case damage
    /// Version 6, options without content.
    case emptyOptions
    /// Version 6, options that all name a buffer, each another one, among them options again.
    case instances
    /// Version 6, buffers whose tables of areas lie in each other.
    case tables
    /// Version 7, descriptions of buffers that lie in each other.
    case descriptions
    /// Version 7 without the section that leads to the others, options that all describe one buffer.
    case lostOptions

    var bytes: [UInt8] {
      switch self {
      case .sections:
        Self.version7((0..<100_000).flatMap { Self.option(18, Self.u64(UInt64(64 + $0))) })
      case .damage: Self.version7((0..<200_000).flatMap { _ in Self.option(22, []) })
      case .emptyOptions: Self.version6((0..<600_000).flatMap { _ in Self.option(99, []) })
      case .instances:
        Self.version6(
          (0..<60_000).flatMap {
            Self.option(99, Array("options  \0".utf8)) + Self.option(3, Self.u64(UInt64(103 + 31 * $0)) + [0])
          })
      case .tables: Self.tablesInEachOther
      case .descriptions: Self.descriptionsInEachOther
      case .lostOptions: Self.optionsWithoutChain
      }
    }

    /// Each table begins 16 bytes behind the one before, and has all entries that follow.
    private static var tablesInEachOther: [UInt8] {
      let (count, entries) = (1000, 20_000)
      func bytes(tagsAt base: Int) -> [UInt8] {
        version6(
          (0..<count).flatMap { option(3, u64(UInt64(base + 16 * $0)) + Array("a\0".utf8)) } + u16(0),
          cpus: UInt32(entries))
      }
      let head = bytes(tagsAt: 0).count
      let padding = [UInt8](repeating: 0xff, count: 16 - head % 16)
      let tags = (0..<count).flatMap { _ in Array("flyrecord\0".utf8) + [UInt8](repeating: 1, count: 6) }
      let base = head + padding.count
      let end = (base + tags.count + 10 + 16 * entries) / 4096 * 4096 + 4096
      let table = [UInt8](repeating: 1, count: 10) + (0..<entries).flatMap { _ in u64(UInt64(end)) + u64(1) }
      let all = bytes(tagsAt: base) + padding + tags + table
      return all + [UInt8](repeating: 0, count: end + 4096 - all.count)
    }

    /// Each section of options begins 40 bytes behind the one before, and describes a buffer with all that follows as its areas, two in
    /// each beginning of a section. The options that lead to the next section stand at the end.
    private static var descriptionsInEachOther: [UInt8] {
      let (count, areas) = (100, 20_000)
      let head = head("7") + Array("none\0\0".utf8)
      let base = head.count + 8
      let (ends, buffer) = (base + 40 * count + 20 * areas, base + 40 * count + 20 * areas + 20 * count)
      var bytes = head + u64(UInt64(base))
      for index in 0..<count {
        let size = ends + 20 * index - (base + 40 * index + 22)
        bytes += u16(0) + u16(0) + u32(0) + u64(UInt64(size + 20)) + u16(3) + u32(UInt32(size))
        bytes += u64(UInt64(buffer)) + [0, 0] + u32(4096) + u32(UInt32((size - 18) / 20))
      }
      for cpu in 0..<areas { bytes += u32(UInt32(cpu)) + u64(UInt64(buffer + 16)) + u64(1) }
      for index in 1...count {
        bytes +=
          option(0, u64(index < count ? UInt64(base + 40 * index) : 0)) + [UInt8](repeating: 0, count: 6)
      }
      return bytes + u16(3) + u16(0) + u32(0) + u64(4096) + [UInt8](repeating: 0, count: 4096)
    }

    private static var optionsWithoutChain: [UInt8] {
      let head = head("7") + Array("none\0\0".utf8) + u64(1 << 40)
      let buffer = u16(3) + u16(0) + u32(0) + u64(8192) + [UInt8](repeating: 0, count: 8192)
      let options = (0..<70_000).flatMap { _ in option(3, u64(UInt64(head.count))) } + option(0, u64(0))
      return head + buffer + u16(0) + u16(0) + u32(0) + u64(UInt64(options.count)) + options
    }

    private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian, Array.init)
    }
    private static func u16(_ value: UInt16) -> [UInt8] { bytes(value) }
    private static func u32(_ value: UInt32) -> [UInt8] { bytes(value) }
    private static func u64(_ value: UInt64) -> [UInt8] { bytes(value) }

    private static func option(_ id: UInt16, _ body: [UInt8]) -> [UInt8] {
      u16(id) + u32(UInt32(body.count)) + body
    }

    private static func head(_ version: String) -> [UInt8] {
      [0x17, 0x08, 0x44] + Array("tracing\(version)\0".utf8) + [0, 8] + u32(4096)
    }

    private static func version7(_ options: [UInt8]) -> [UInt8] {
      let head = head("7") + Array("none\0\0".utf8)
      let section = u16(0) + u16(0) + u32(0) + u64(UInt64(options.count))
      return head + u64(UInt64(head.count + 8)) + section + options
    }

    private static func version6(_ options: [UInt8], cpus: UInt32 = 1) -> [UInt8] {
      head("6") + Array("header_page\0".utf8) + u64(0) + Array("header_event\0".utf8) + u64(0)
        + u32(0) + u32(0) + u32(0) + u32(0) + u64(0) + u32(cpus) + Array("options  \0".utf8) + options
    }
  }

  @Test("takes no more time and memory than its length", arguments: Forgery.allCases)
  func forgery(_ forgery: Forgery) async throws {
    #if compiler(>=6.3)
      await #expect(processExitsWith: .success) { [forgery = forgery as Forgery] in
        let file = try UnnamedFile(forgery.bytes)
        try Mutants.limitResources(seconds: 20, bytes: 80 << 20)
        let trace = try? TraceFile(path: file.path)
        precondition(trace.map { !$0.damage.isEmpty && $0.damage.count < 2000 } ?? true)
      }
    #else
      let file = try UnnamedFile(forgery.bytes)
      let trace = try? TraceFile(path: file.path)
      #expect(trace.map { !$0.damage.isEmpty && $0.damage.count < 2000 } ?? true)
    #endif
  }

  @Test("what a file calls itself breaks no message into lines")
  func oneLine() throws {
    let bytes = [0x17, 0x08, 0x44] + Array("tracing7\n\u{1b}[2J\0".utf8) + [0, 8, 0, 16, 0, 0]
    let file = try UnnamedFile(bytes)
    let error = #expect(throws: IngestError.self) { try TraceFile(path: file.path) }
    #expect(error?.line.contains("version \"7\\x0a\\x1b[2J\"") == true, "\(error?.line ?? "")")
  }
}
