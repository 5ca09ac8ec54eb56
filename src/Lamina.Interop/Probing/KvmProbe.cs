using Microsoft.Win32.SafeHandles;

namespace Lamina.Interop.Probing;

/// <summary>Asks <c>/dev/kvm</c> what it can do, without making a virtual machine (Linux, Documentation/virt/kvm/api.rst).</summary>
public sealed unsafe class KvmProbe : IDisposable
{
    private const nuint GetApiVersion = 0xae00;
    private const nuint CheckExtension = 0xae03;
    private readonly SafeFileHandle _device;

    private KvmProbe(SafeFileHandle device)
    {
        _device = device;
        // SAFETY: the request takes no argument.
        ApiVersion = NativeMethods.Control((int)device.DangerousGetHandle(), GetApiVersion, null);
    }

    /// <summary>The version of the interface; 12 since 2007. Negative if the device is not KVM.</summary>
    public int ApiVersion { get; }

    /// <summary>Opens the device.</summary>
    /// <exception cref="IOException">It cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">This user may not.</exception>
    public static KvmProbe Open(string path = "/dev/kvm") => new(File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite));

    /// <summary>The answer to KVM_CHECK_EXTENSION: 0 if the capability is not there.</summary>
    public int GetCapability(int capability)
    {
        // SAFETY: the request takes its number by value in the place of a pointer.
        return Math.Max(0, NativeMethods.Control((int)_device.DangerousGetHandle(), CheckExtension, (void*)capability));
    }

    /// <inheritdoc/>
    public void Dispose() => _device.Dispose();
}
