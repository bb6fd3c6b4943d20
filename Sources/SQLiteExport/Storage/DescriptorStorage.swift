internal import CSQLite
internal import Glibc

/// The way to an open file for SQLite (a "VFS"), which otherwise opens files by their path.
///
/// So a database is written as every other output is: to a file without a name, which takes its place when it is complete.
/// Nobody else can have that file open, so nothing is locked; and it has no journal, for nothing of it is ever taken back. What
/// SQLite sorts for an index goes to temporary files of its own, through the system's own VFS.
final class DescriptorStorage {
  /// SQLITE_IOERR_*, macros that Swift does not import.
  private enum ErrorCode {
    static let read = SQLITE_IOERR | 1 << 8
    static let shortRead = SQLITE_IOERR | 2 << 8
    static let write = SQLITE_IOERR | 3 << 8
    static let truncate = SQLITE_IOERR | 6 << 8
    static let status = SQLITE_IOERR | 7 << 8
  }

  /// What the functions are given that SQLite calls.
  struct Context {
    let descriptor: Int32
    /// What the system said when it failed last.
    var errno: Int32?
    let methods: UnsafeMutablePointer<sqlite3_io_methods>
    /// The system's own VFS.
    let system: UnsafeMutablePointer<sqlite3_vfs>
  }

  /// `sqlite3_file` with what belongs to it, in memory that SQLite provides, which goes by its beginning alone.
  private struct File {
    var base: sqlite3_file
    var context: UnsafeMutablePointer<Context>
  }

  /// The name by which a connection asks for it.
  let name: String

  /// These live until deinit: SQLite has their addresses.
  private let context: UnsafeMutablePointer<Context>
  private let vfs: UnsafeMutablePointer<sqlite3_vfs>
  private let cName: UnsafeMutablePointer<CChar>

  /// - Parameter descriptor: a file that is open to be read and written, and empty. It stays open.
  init(descriptor: Int32) throws {
    guard let system = sqlite3_vfs_find(nil) else {
      throw DatabaseFailure(message: "SQLite has no access to files", errno: nil)
    }
    precondition(MemoryLayout<File>.offset(of: \.base) == 0, "SQLite sees a sqlite3_file")
    name = "pkvm-replay-\(descriptor)"
    cName = strdup(name)
    context = .allocate(capacity: 1)
    context.initialize(
      to: Context(descriptor: descriptor, errno: nil, methods: .allocate(capacity: 1), system: system))
    context.pointee.methods.initialize(to: Self.methods)
    vfs = .allocate(capacity: 1)
    vfs.initialize(to: system.pointee)
    vfs.pointee.zName = UnsafePointer(cName)
    vfs.pointee.pNext = nil
    vfs.pointee.pAppData = UnsafeMutableRawPointer(context)
    vfs.pointee.szOsFile = max(system.pointee.szOsFile, Int32(MemoryLayout<File>.size))
    vfs.pointee.xOpen = { vfs, name, file, flags, outFlags in
      DescriptorStorage.open(vfs!, name, file!, flags, outFlags)
    }
    // There is no journal of an earlier run.
    vfs.pointee.xAccess = { _, _, _, found in
      found!.pointee = 0
      return SQLITE_OK
    }
    // The file has no path, and what SQLite takes for one is not looked up.
    vfs.pointee.xFullPathname = { _, name, capacity, full in
      guard let name, strlen(name) < Int(capacity) else { return SQLITE_CANTOPEN }
      strcpy(full!, name)
      return SQLITE_OK
    }
    sqlite3_vfs_register(vfs, 0)
  }

  /// No connection may be open any more.
  deinit {
    sqlite3_vfs_unregister(vfs)
    vfs.deallocate()
    context.pointee.methods.deallocate()
    context.deallocate()
    free(cName)
  }

  /// What the system said when it failed last.
  var errno: Int32? { context.pointee.errno }

  private static func open(
    _ vfs: UnsafeMutablePointer<sqlite3_vfs>, _ name: UnsafePointer<CChar>?,
    _ file: UnsafeMutablePointer<sqlite3_file>, _ flags: Int32, _ outFlags: UnsafeMutablePointer<Int32>?
  ) -> Int32 {
    let context = vfs.pointee.pAppData!.assumingMemoryBound(to: Context.self)
    guard flags & SQLITE_OPEN_MAIN_DB != 0 else {
      let system = context.pointee.system
      return system.pointee.xOpen(system, name, file, flags, outFlags)
    }
    UnsafeMutableRawPointer(file).initializeMemory(
      as: File.self,
      to: File(base: sqlite3_file(pMethods: UnsafePointer(context.pointee.methods)), context: context))
    outFlags?.pointee = flags
    return SQLITE_OK
  }

  /// Whose the file is that SQLite asks for something.
  private static func context(_ file: UnsafeMutablePointer<sqlite3_file>?) -> UnsafeMutablePointer<Context> {
    UnsafeMutableRawPointer(file!).assumingMemoryBound(to: File.self).pointee.context
  }

  /// The system has failed: SQLite gets `code`, and whoever asks later the reason.
  private static func failed(_ context: UnsafeMutablePointer<Context>, _ code: Int32) -> Int32 {
    context.pointee.errno = Glibc.errno
    return code
  }

  private static var methods: sqlite3_io_methods {
    var methods = sqlite3_io_methods()
    methods.iVersion = 1
    methods.xClose = { _ in SQLITE_OK }
    methods.xRead = { file, buffer, count, offset in
      DescriptorStorage.read(DescriptorStorage.context(file), buffer!, Int(count), at: offset)
    }
    methods.xWrite = { file, buffer, count, offset in
      DescriptorStorage.write(DescriptorStorage.context(file), buffer!, Int(count), at: offset)
    }
    methods.xTruncate = { file, size in
      let context = DescriptorStorage.context(file)
      return ftruncate(context.pointee.descriptor, off_t(size)) == 0
        ? SQLITE_OK : DescriptorStorage.failed(context, ErrorCode.truncate)
    }
    methods.xSync = { _, _ in SQLITE_OK }
    methods.xFileSize = { file, size in
      let context = DescriptorStorage.context(file)
      var status = stat()
      guard fstat(context.pointee.descriptor, &status) == 0 else {
        return DescriptorStorage.failed(context, ErrorCode.status)
      }
      size!.pointee = Int64(status.st_size)
      return SQLITE_OK
    }
    methods.xLock = { _, _ in SQLITE_OK }
    methods.xUnlock = { _, _ in SQLITE_OK }
    methods.xCheckReservedLock = { _, isLocked in
      isLocked!.pointee = 0
      return SQLITE_OK
    }
    methods.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
    methods.xSectorSize = { _ in 4096 }
    methods.xDeviceCharacteristics = { _ in 0 }
    return methods
  }

  private static func read(
    _ context: UnsafeMutablePointer<Context>, _ buffer: UnsafeMutableRawPointer, _ count: Int,
    at offset: Int64
  ) -> Int32 {
    var done = 0
    while done < count {
      let step = pread(context.pointee.descriptor, buffer + done, count - done, off_t(offset) + done)
      if step < 0 {
        if Glibc.errno == EINTR { continue }
        return failed(context, ErrorCode.read)
      }
      if step == 0 {
        // SQLite wants zeros behind the end.
        memset(buffer + done, 0, count - done)
        return ErrorCode.shortRead
      }
      done += step
    }
    return SQLITE_OK
  }

  private static func write(
    _ context: UnsafeMutablePointer<Context>, _ buffer: UnsafeRawPointer, _ count: Int, at offset: Int64
  ) -> Int32 {
    var done = 0
    while done < count {
      let step = pwrite(context.pointee.descriptor, buffer + done, count - done, off_t(offset) + done)
      if step < 0 {
        if Glibc.errno == EINTR { continue }
        return failed(context, Glibc.errno == ENOSPC ? SQLITE_FULL : ErrorCode.write)
      }
      done += step
    }
    return SQLITE_OK
  }
}
