/// Why a shared object cannot take the place of the model: one line that names the file.
package enum BackendProblem: Error, Hashable, CustomStringConvertible {
  /// The dynamic linker refuses it; what it says.
  case notLoaded(path: String, reason: String)
  /// It exports no `s2_backend`.
  case noEntry(path: String)
  /// It knows another version of the interface only.
  case unknownVersion(path: String)
  /// Its table says that it is of another version, or is too short.
  case malformed(path: String, what: String)
  /// A function that every backend must have is missing.
  case lacks(path: String, function: String)
  /// It was built for pages of another size.
  case otherPageSize(path: String, has: UInt64, wanted: UInt64)
  /// It does not have the path that the replay needs.
  case noPath(path: String, isPKVM: Bool)
  /// It refuses a VM; its own reason.
  case refusedVM(path: String, reason: String)

  package var description: String {
    switch self {
    case .notLoaded(let path, let reason): "\(path): cannot be loaded: \(reason)"
    case .noEntry(let path): "\(path): is no stage-2 backend: it has no function s2_backend"
    case .unknownVersion(let path):
      "\(path): does not know version \(BackendLibrary.version) of the interface: build it again"
    case .malformed(let path, let what): "\(path): its table of functions is wrong: \(what)"
    case .lacks(let path, let function): "\(path): has no \(function), which a backend must have"
    case .otherPageSize(let path, let has, let wanted):
      "\(path): is built for pages of \(has >> 10) KiB, and the recording is of a host with \(wanted >> 10) KiB"
    case .noPath(let path, let isPKVM):
      "\(path): does not have the \(isPKVM ? "pKVM" : "traditional") path of stage 2, which the recording needs"
    case .refusedVM(let path, let reason): "\(path): cannot make a VM: \(reason)"
    }
  }
}
