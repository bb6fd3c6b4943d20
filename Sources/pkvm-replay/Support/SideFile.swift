import Glibc
import Reporting

/// A JSON file that a person gives besides the traces: a profile, costs or memslots. What is wrong with one is told in the
/// same way for all of them: file and line, status 65; 66 where there is none.
enum SideFile {
  /// No such file is longer.
  private static let bytesMax = 64 << 20

  /// The text of the file at `path`.
  ///
  /// - Parameter missing: what to say where there is no such file.
  static func text(at path: String, else missing: String = "No such file") throws -> String {
    guard path != "-" else {
      throw Diagnostics.failure(
        "- is standard input, which is for recordings: name a file of memslots, costs or a profile", .usage)
    }
    var status = stat()
    guard stat(path, &status) == 0 else {
      let isMissing = errno == ENOENT || errno == ENOTDIR
      throw Diagnostics.failure(
        "\(path): \(isMissing ? missing : String(cString: strerror(errno)))",
        isMissing ? .noInput : .inputOutput)
    }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      throw Diagnostics.failure("\(path): is a directory, a JSON file is needed", .notATrace)
    }
    return String(decoding: try content(of: path), as: UTF8.self)
  }

  /// What a file or a pipe delivers.
  private static func content(of path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw Diagnostics.failure("\(path): cannot be read: \(String(cString: strerror(errno)))", .inputOutput)
    }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count == 0 { return content }
      if count < 0 {
        if errno == EINTR { continue }
        throw Diagnostics.failure(
          "\(path): cannot be read: \(String(cString: strerror(errno)))", .inputOutput)
      }
      content += piece[..<count]
      guard content.count <= bytesMax else {
        throw Diagnostics.failure(
          "\(path): has more than \(bytesMax >> 20) MiB, so it is no such file", .notATrace)
      }
    }
  }

  /// One line about what is wrong with the file at `path`, at the value at `field` where that is known.
  static func failure(_ path: String, _ text: String, field: String?, _ problem: String) -> any Error {
    let place = field.map { "line \(JSONLines.line(of: $0, in: text)): " } ?? ""
    return Diagnostics.failure("\(path): \(place)\(problem)", .notATrace)
  }
}
