namespace Lamina.Interop.Kvm;

/// <summary><c>/dev/kvm</c>: what KVM can do here, and new machines (Linux, Documentation/virt/kvm/api.rst).</summary>
public sealed unsafe class KvmDevice : KvmHandle
{
    /// <summary>Where it is.</summary>
    public const string DefaultPath = "/dev/kvm";

    /// <summary>The version of the interface since 2007.</summary>
    public const int ExpectedApiVersion = 12;

    private const int ReadWriteCloseOnExec = 2 | 0x80000;
    private const int MostCpuidEntries = 256;

    private KvmDevice(IKvmCalls calls, int descriptor)
        : base(calls, descriptor)
    {
    }

    /// <summary>The version of the interface; negative if the device is not KVM.</summary>
    public int ApiVersion => TryCall(KvmRequest.GetApiVersion, null);

    /// <summary>Opens the device.</summary>
    /// <exception cref="SystemCallException">It cannot be opened.</exception>
    public static KvmDevice Open(IKvmCalls? calls = null, string path = DefaultPath)
    {
        int descriptor = NativeMethods.Open(path, ReadWriteCloseOnExec);
        return descriptor >= 0
            ? new KvmDevice(calls ?? KvmCalls.Instance, descriptor)
            : throw SystemCallException.FromLastError($"open {path}");
    }

    /// <summary>KVM_CHECK_EXTENSION: 0 if the capability is not there.</summary>
    public int GetCapability(int capability) => Math.Max(0, TryCall(KvmRequest.CheckExtension, (void*)capability));

    /// <summary>The CPUID answers that KVM can give.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public KvmCpuidEntry[] GetSupportedCpuid()
    {
        int header = sizeof(uint) * 2;
        byte[] buffer = new byte[header + (MostCpuidEntries * sizeof(KvmCpuidEntry))];
        // SAFETY: struct kvm_cpuid2: the kernel writes at most as many entries as the header says there is room for.
        fixed (byte* p = buffer)
        {
            *(uint*)p = MostCpuidEntries;
            Call(KvmRequest.GetSupportedCpuid, p);
            return new ReadOnlySpan<KvmCpuidEntry>(p + header, (int)Math.Min(*(uint*)p, MostCpuidEntries)).ToArray();
        }
    }

    /// <summary>Makes an empty machine.</summary>
    /// <exception cref="SystemCallException">The host refuses.</exception>
    public KvmMachine CreateMachine()
    {
        int runSize = Call(KvmRequest.GetRunSize, null);
        int stateSize = GetCapability(KvmCapability.ExtendedStateSize);
        return new KvmMachine(Calls, Call(KvmRequest.CreateMachine, null), runSize, stateSize);
    }
}
