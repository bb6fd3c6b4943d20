import Foundation
import Glibc
import Testing
import UnnamedFiles

@Suite("Files without a name")
struct UnnamedFileTests {
  @Test("Whoever knows the path can read and replace what is in it, while its owner lives")
  func path() throws {
    var file: UnnamedFile? = try UnnamedFile([1, 2, 3])
    let path = try #require(file?.path)
    #expect(FileManager.default.contents(atPath: path) == Data([1, 2, 3]))
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    #expect(descriptor >= 0 && write(descriptor, [4, 5] as [UInt8], 2) == 2 && close(descriptor) == 0)
    #expect(FileManager.default.contents(atPath: path) == Data([4, 5]))
    let (text, status) = try Self.size(path)
    #expect(status == 0 && text == "2\n")
    withExtendedLifetime(file) {}
    let place = try FileManager.default.destinationOfSymbolicLink(atPath: path)
    file = nil
    let later = try? FileManager.default.destinationOfSymbolicLink(atPath: path)
    #expect(later != place)
  }

  @Test("A process that is killed leaves nothing behind")
  func killed() async throws {
    let directory = Self.directory(of: getpid())
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: directory) }
    await #expect(processExitsWith: .signal(SIGKILL)) {
      let path = Self.directory(of: getppid()).path()
      setenv("TMPDIR", path, 1)
      let file = try UnnamedFile([1])
      let place = try FileManager.default.destinationOfSymbolicLink(atPath: file.path)
      precondition(place.hasPrefix(path))
      kill(getpid(), SIGKILL)
      withExtendedLifetime(file) {}
    }
    let left = try FileManager.default.contentsOfDirectory(atPath: directory.path())
    #expect(left.isEmpty)
  }

  /// Where a process's child leaves its files. Swift 6.2 hands a child no values, so the child finds it by its
  /// parent.
  private static func directory(of process: pid_t) -> URL {
    FileManager.default.temporaryDirectory.appending(path: "left-of-\(process)")
  }

  /// What another process finds.
  private static func size(_ path: String) throws -> (text: String, status: Int32) {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["stat", "-L", "-c", "%s", path]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (text, process.terminationStatus)
  }
}
