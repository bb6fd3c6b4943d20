/// What a stage-2 function returns: 0 or a negative errno, with the kernel's numbers.
@frozen
public struct KernelResult: Hashable, Sendable {
  /// 0 for success, else a negative errno.
  public var rawValue: Int32

  /// The return value `rawValue`.
  @inlinable
  public init(_ rawValue: Int32) { self.rawValue = rawValue }

  /// 0.
  @inlinable
  public static var success: KernelResult { KernelResult(0) }
  /// -EPERM.
  @inlinable
  public static var notPermitted: KernelResult { KernelResult(-1) }
  /// -ENOENT.
  @inlinable
  public static var noEntry: KernelResult { KernelResult(-2) }
  /// -E2BIG.
  @inlinable
  public static var tooBig: KernelResult { KernelResult(-7) }
  /// -ENOEXEC.
  @inlinable
  public static var noExec: KernelResult { KernelResult(-8) }
  /// -EAGAIN.
  @inlinable
  public static var again: KernelResult { KernelResult(-11) }
  /// -ENOMEM.
  @inlinable
  public static var noMemory: KernelResult { KernelResult(-12) }
  /// -EFAULT.
  @inlinable
  public static var badAddress: KernelResult { KernelResult(-14) }
  /// -EBUSY.
  @inlinable
  public static var busy: KernelResult { KernelResult(-16) }
  /// -EINVAL.
  @inlinable
  public static var invalid: KernelResult { KernelResult(-22) }
  /// -ERANGE.
  @inlinable
  public static var range: KernelResult { KernelResult(-34) }
  /// -EEXIST.
  @inlinable
  public static var exists: KernelResult { KernelResult(-17) }
  /// -ENOSYS.
  @inlinable
  public static var noSystemCall: KernelResult { KernelResult(-38) }
  /// -EHWPOISON.
  @inlinable
  public static var hwPoison: KernelResult { KernelResult(-133) }
  /// -EIO.
  @inlinable
  public static var ioError: KernelResult { KernelResult(-5) }

  /// Whether the function succeeded.
  @inlinable
  public var isSuccess: Bool { rawValue == 0 }
}
