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
      }
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

    private static func version6(_ options: [UInt8]) -> [UInt8] {
      head("6") + Array("header_page\0".utf8) + u64(0) + Array("header_event\0".utf8) + u64(0)
        + u32(0) + u32(0) + u32(0) + u32(0) + u64(0) + u32(1) + Array("options  \0".utf8) + options
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
