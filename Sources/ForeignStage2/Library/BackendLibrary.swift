internal import CStage2Backend
internal import Glibc
package import KVMTypes
package import Stage2Model

/// A shared object that has a stage-2 MMU, loaded and looked at (`stage2_backend.h`).
///
/// Invariant: `table` and `names` point to initialised memory of its own until deinit, and are used by one thread at a time. The shared
/// object itself stays loaded as long as the process lives, because names that it told are its strings.
package final class BackendLibrary {
  /// The version of the interface that is spoken.
  package static let version = Int(S2_ABI_VERSION)

  /// The file.
  package let path: String
  /// What it calls itself.
  package let name: String
  /// What of it is not the kernel's own C, item by item.
  package let restated: [String]
  /// The page size that it was built for.
  package let pageSize: PageSize
  /// Its functions. What its maker did not know is nil.
  let table: UnsafeMutablePointer<s2_backend>
  /// What it has told so far by name.
  let names: UnsafeMutablePointer<EffectNames>
  /// Why it made no VM where it should have; the first time.
  package internal(set) var refusal: BackendProblem?

  /// Loads the shared object at `path`.
  package init(path: String) throws(BackendProblem) {
    let (loaded, reason) = SharedObject.load(path)
    guard let handle = loaded else { throw .notLoaded(path: path, reason: reason) }
    guard let symbol = dlsym(handle, "s2_backend") else { throw .noEntry(path: path) }
    typealias Entry = @convention(c) (UInt32) -> UnsafePointer<s2_backend>?
    let entry = unsafeBitCast(symbol, to: Entry.self)
    guard let found = entry(UInt32(S2_ABI_VERSION)) else { throw .unknownVersion(path: path) }
    let made = try Self.checked(found, path)
    self.path = path
    name = made.name.map { String(cString: $0) } ?? "a backend without a name"
    let items = made.restated.map { String(cString: $0) } ?? ""
    restated = items.split(separator: "\n").map(String.init)
    pageSize = PageSize(bytes: UInt64(1) << UInt64(made.page_shift)) ?? .size4K
    table = .allocate(capacity: 1)
    table.initialize(to: made)
    names = .allocate(capacity: 1)
    names.initialize(to: EffectNames())
  }

  deinit {
    table.deinitialize(count: 1)
    table.deallocate()
    names.deinitialize(count: 1)
    names.deallocate()
  }

  /// Whether it has that path.
  package func has(isPKVM: Bool) -> Bool {
    table.pointee.paths & 1 << (isPKVM ? S2_PATH_PKVM.rawValue : S2_PATH_TRADITIONAL.rawValue) != 0
  }

  /// Whether it has protected guests.
  package var hasProtectedGuests: Bool { table.pointee.capabilities & UInt64(S2_SUPPORTS_PROTECTED) != 0 }

  /// The kernel that it says it is, by the first release that its name has behind `Linux`; nil where it says none.
  package var release: KernelRelease? {
    let words = name.split { $0 == " " || $0 == "(" || $0 == ")" || $0 == "," }
    for (word, next) in zip(words, words.dropFirst()) where word == "Linux" {
      if let release = KernelRelease(next) { return release }
    }
    return nil
  }

  /// Whether it can take the place of the model of `shape`.
  package func check(_ shape: ForeignShape) throws(BackendProblem) {
    if shape.pageSize != pageSize {
      throw .otherPageSize(path: path, has: pageSize.bytes, wanted: shape.pageSize.bytes)
    }
    if !has(isPKVM: shape.isPKVM) { throw .noPath(path: path, isPKVM: shape.isPKVM) }
  }

  /// The table that a shared object gave, as long as this program knows it, with zeroes behind its own end.
  private static func checked(
    _ found: UnsafePointer<s2_backend>, _ path: String
  ) throws(BackendProblem) -> s2_backend {
    guard found.pointee.abi == UInt32(S2_ABI_VERSION) else {
      throw .malformed(path: path, what: "it says version \(found.pointee.abi)")
    }
    let known = MemoryLayout<s2_backend>.size
    let least = MemoryLayout<s2_backend>.offset(of: \.leaves) ?? known
    let size = Int(found.pointee.size)
    guard size >= least else { throw .malformed(path: path, what: "\(size) bytes are too few") }
    var made = s2_backend()
    withUnsafeMutableBytes(of: &made) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: found, count: min(size, known)))
    }
    let required: KeyValuePairs<String, Bool> = [
      "create": made.create != nil, "release": made.release != nil, "map": made.map != nil,
      "unmap": made.unmap != nil, "wrprotect": made.wrprotect != nil,
      "test_clear_young": made.test_clear_young != nil, "relax_perms": made.relax_perms != nil,
      "mkyoung": made.mkyoung != nil, "walk": made.walk != nil,
    ]
    if let missing = required.first(where: { !$0.value }) { throw .lacks(path: path, function: missing.key) }
    // Random calls on neither path would find nothing.
    guard made.paths & (1 << S2_PATH_TRADITIONAL.rawValue | 1 << S2_PATH_PKVM.rawValue) != 0 else {
      throw .malformed(path: path, what: "it offers neither path of stage 2")
    }
    guard made.page_shift < 64, PageSize(bytes: 1 << UInt64(made.page_shift)) != nil else {
      throw .malformed(path: path, what: "there are no pages of 2^\(made.page_shift) bytes")
    }
    return made
  }
}
