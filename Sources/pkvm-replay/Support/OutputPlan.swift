import Glibc
import KVMTrace
import PerfettoExport
import SQLiteExport

/// What a command writes, checked before anything is read or replayed: no output may cost the user a recording.
///
/// An output must not be one of the inputs, whatever the path that leads to it, nor another output, and it may take the
/// place of an earlier report but not of a recording.
struct OutputPlan {
  /// A file, however it is called.
  private struct Identity: Equatable {
    let device: dev_t
    let inode: ino_t

    init(_ status: stat) { (device, inode) = (status.st_dev, status.st_ino) }
  }

  private var inputs: [(identity: Identity, name: String)] = []
  /// The file that standard output goes to, nil where it is none.
  private var standardOutput: Identity?
  /// Output files by the path that is left when all links are followed.
  private var outputs: [String: String] = [:]
  /// The database among them: where it lies, and what it is called.
  private var database: (resolved: String, name: String)?
  /// What SQLite calls the files that it looks for beside a database: it takes what is there for its own, and removes it.
  private static let sideSuffixes = ["-wal", "-journal", "-shm"]

  /// A plan for a command that reads `inputs`; "-" is standard input. What is no file is not looked at.
  ///
  /// - Throws: where standard output goes to one of them.
  init(inputs paths: [String]) throws {
    for path in paths {
      var status = stat()
      guard (path == "-" ? fstat(0, &status) : stat(path, &status)) == 0, Self.isFile(status) else {
        continue
      }
      inputs.append((Identity(status), path == "-" ? "standard input" : path))
    }
    var status = stat()
    guard fstat(1, &status) == 0, Self.isFile(status) else { return }
    standardOutput = Identity(status)
    guard let input = input(Identity(status)) else { return }
    throw Diagnostics.failure(
      "standard output goes to \(input), which is an input; choose another file", .usage)
  }

  /// What an input is called, of several names the last one.
  private func input(_ identity: Identity) -> String? { inputs.last { $0.identity == identity }?.name }

  /// Where to write what the user wants to have at `path`; "-" is standard output.
  ///
  /// - Parameter overwrite: whether the user said, by --overwrite, that a recording there may go; nil for a command without that flag.
  mutating func target(_ path: String, overwrite: Bool? = nil) throws -> OutputTarget {
    if path == "-" { return .standardOutput }
    guard !path.isEmpty else { throw Diagnostics.failure("an output has an empty name", .usage) }
    let resolved = try Self.resolve(path)
    var isNameless = false
    var status = stat()
    if stat(path, &status) == 0 {
      isNameless = status.st_nlink == 0
      guard !Self.isDirectory(status) else {
        throw Diagnostics.failure("\(path): is a directory; name a file in it", .inputOutput)
      }
      guard Self.isFile(status) else { return .stream(path) }
      // As /dev/stdout: whoever opened the file goes on with it, so no other may take its place.
      if Identity(status) == standardOutput { return .standardOutput }
      if let input = input(Identity(status)) {
        throw Diagnostics.failure(
          "\(path): is \(input == path ? "an input" : "the input \(input)") and would be overwritten; choose another file",
          .usage)
      }
      if overwrite != true { try Self.refuseRecording(at: path, hasFlag: overwrite != nil) }
    }
    if let database, Self.isBeside(database.resolved, resolved) {
      throw Self.besideDatabase(path, database.name)
    }
    if let other = outputs.updateValue(path, forKey: resolved) {
      throw Diagnostics.failure(
        "\(path): is already written to as \(other); give each output a file of its own", .usage)
    }
    // A file that has no name any more is reached through a descriptor alone.
    return isNameless ? .stream(path) : .file(path: path, resolved: resolved)
  }

  /// Where to write a recording, or what else is no text: not to a terminal, which would obey what it takes for commands.
  ///
  /// - Parameter kind: what is written, with an article.
  mutating func recordingTarget(
    _ path: String, overwrite: Bool? = nil, kind: String = "a trace.dat"
  ) throws -> OutputTarget {
    let target = try target(path, overwrite: overwrite)
    if target.isTerminal {
      throw Diagnostics.failure(
        "\(target.name): is a terminal, and \(kind) is no text; name a file, or pass it on with > or |",
        .usage)
    }
    return target
  }

  /// Where to write a database: SQLite goes back and forth in it, so it is a file. One that is there is replaced only if it is
  /// empty or an earlier one of these databases: somebody else's may hold what nobody can make again.
  mutating func databaseTarget(_ path: String) throws -> OutputTarget {
    let isThere = access(path, F_OK) == 0
    let isOwn = Self.prefix(of: path, ReplayDatabase.prefixBytes).map {
      $0.isEmpty || ReplayDatabase.isOne(prefix: $0)
    }
    // To the check for recordings any large file with bytes of no text is one.
    let target = try target(path, overwrite: isOwn == true ? true : nil)
    guard case .file(_, let resolved) = target else {
      throw Diagnostics.failure(
        "\(target.name): is no file that can be replaced, and a database is one; name a file", .usage)
    }
    // SQLite looks for them beside the file to which a link leads.
    for suffix in Self.sideSuffixes {
      var status = stat()
      guard stat(resolved + suffix, &status) == 0 else { continue }
      let identity = Identity(status)
      guard identity == standardOutput || input(identity) != nil else { continue }
      throw Self.besideDatabase(input(identity) ?? "standard output", path)
    }
    if let (_, name) = outputs.first(where: { Self.isBeside(resolved, $0.key) }) {
      throw Self.besideDatabase(name, path)
    }
    for suffix in ["-wal", "-journal"]
    where access(resolved + suffix, F_OK) == 0 && Self.prefix(of: resolved + suffix, 1)?.isEmpty != true {
      throw Diagnostics.failure(
        "\(path)\(suffix): is what somebody was writing to an earlier \(path), and would go into the new one; open that with "
          + "sqlite3 once, or remove both",
        .usage)
    }
    if isThere, isOwn != true {
      throw Diagnostics.failure(
        "\(path): exists and is no database of --sqlite, and would be lost; choose another file, or remove it first",
        .usage)
    }
    database = (resolved, path)
    return target
  }

  /// Whether a file is one that SQLite takes for its own beside `database`, or lies in a directory of that name.
  private static func isBeside(_ database: String, _ file: String) -> Bool {
    sideSuffixes.contains { file == database + $0 || file.hasPrefix("\(database)\($0)/") }
  }

  private static func besideDatabase(_ name: String, _ database: String) -> any Error {
    Diagnostics.failure(
      "\(name): lies where SQLite keeps what belongs to \(database), and would be removed with it; choose another file",
      .usage)
  }

  /// The files called `names` in a directory, which is made if it is not there.
  mutating func targets(inDirectory directory: String, _ names: [String]) throws -> [OutputTarget] {
    var status = stat()
    if stat(directory, &status) == 0, !Self.isDirectory(status) {
      throw Diagnostics.failure(
        "\(directory): is a file, and a directory is written; name one, or a new one", .inputOutput)
    }
    let inDirectory = try Self.resolve("\(directory)/.")
    for (output, name) in outputs where inDirectory == output || inDirectory.hasPrefix("\(output)/") {
      throw Diagnostics.failure(
        "\(directory): is a directory to write to, and \(name) is already written to as a file; give each output a name of its own",
        .usage)
    }
    return try names.map { try target("\(directory)/\($0)") }
  }

  private static func isFile(_ status: stat) -> Bool { status.st_mode & S_IFMT == S_IFREG }
  private static func isDirectory(_ status: stat) -> Bool { status.st_mode & S_IFMT == S_IFDIR }

  /// The path at which a file lies or will lie: links are followed, even where nothing is at their end.
  private static func resolve(_ path: String) throws -> String {
    guard !path.hasSuffix("/") else {
      throw Diagnostics.failure("\(path): names a directory; name a file in it", .inputOutput)
    }
    var place = absolute(path)
    for _ in 0..<40 {
      var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
      let length = readlink(place, &buffer, Int(PATH_MAX))
      guard length > 0 else { return real(place) ?? place }
      let link = String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
      place = absolute(link.hasPrefix("/") ? link : "\(place)/../\(link)")
    }
    throw Diagnostics.failure("\(path): \(String(cString: strerror(ELOOP)))", .inputOutput)
  }

  /// A path from the root without links, but for its last component. Directories that are not there are taken as they are
  /// written: they may be made later.
  private static func absolute(_ path: String) -> String {
    var parts = path.split(separator: "/").map(String.init)
    let name = parts.popLast() ?? ""
    var place = path.hasPrefix("/") ? "/" : real(".") ?? "."
    for part in parts where part != "." {
      if let known = real("\(place)/\(part)") {
        place = known
      } else if part == ".." {
        place = place.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
      } else {
        place = "\(place == "/" ? "" : place)/\(part)"
      }
    }
    return "\(place == "/" ? "" : place)/\(name)"
  }

  private static func real(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  /// What `body` makes of a file that is open to be read; nil where there is none, or none that can be read.
  private static func reading<Found>(_ path: String, _ body: (_ descriptor: Int32) -> Found?) -> Found? {
    var status = stat()
    guard stat(path, &status) == 0, isFile(status) else { return nil }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return body(descriptor)
  }

  /// The first bytes of a file, nil where there is none, or none that can be read.
  private static func prefix(of path: String, _ most: Int) -> [UInt8]? {
    reading(path) { descriptor in
      var prefix = [UInt8](repeating: 0, count: most)
      let count = read(descriptor, &prefix, most)
      return count >= 0 ? Array(prefix[..<count]) : nil
    }
  }

  /// Whether an open trace of Perfetto has nothing but what `replay --perfetto` writes.
  private static func hasTracksAlone(_ descriptor: Int32) -> Bool? {
    TracksSignature.isOfTracksAlone { read(descriptor, $0.baseAddress, $0.count) }
  }

  /// - Parameter hasFlag: whether the command has --overwrite.
  private static func refuseRecording(at path: String, hasFlag: Bool) throws {
    guard let prefix = Self.prefix(of: path, RecordingSignature.prefixBytes), !prefix.isEmpty,
      let recording = RecordingSignature(prefix: prefix)
    else { return }
    // What replay --perfetto wrote can be written again; a recording that has tracks beside it cannot.
    if recording == .perfetto, Self.reading(path, hasTracksAlone) == true { return }
    throw Diagnostics.failure(
      "\(path): exists and is \(recording.name), which would be lost; choose another file, or "
        + (hasFlag ? "--overwrite replaces it" : "remove it first"),
      .usage)
  }
}

/// Where an output goes: what `OutputPlan` found fit to be written.
enum OutputTarget {
  case standardOutput
  /// A pipe or a device, which is written to as it is.
  case stream(String)
  /// A file, which takes its place once it is complete. `path` is what the user called it, `resolved` where it lies.
  case file(path: String, resolved: String)

  /// Whether it is a terminal.
  var isTerminal: Bool {
    switch self {
    case .standardOutput: return isatty(1) != 0
    case .file: return false
    case .stream(let path):
      // A pipe must not be opened and closed: its reader would take that for the end.
      var status = stat()
      guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { return false }
      let descriptor = open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
      guard descriptor >= 0 else { return false }
      defer { close(descriptor) }
      return isatty(descriptor) != 0
    }
  }

  /// What the user called it.
  var name: String {
    switch self {
    case .standardOutput: "standard output"
    case .stream(let path), .file(let path, _): path
    }
  }
}
