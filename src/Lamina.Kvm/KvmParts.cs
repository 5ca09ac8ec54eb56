using Lamina.Interop.Kvm;

namespace Lamina.Kvm;

/// <summary>A machine of KVM with its interrupt controllers and its first processor.</summary>
internal sealed record KvmParts(KvmMachine Machine, KvmVirtualProcessor FirstProcessor, KvmControllers Controllers, int DirtyRingEntries) : IDisposable
{
    public void Dispose()
    {
        FirstProcessor.Dispose();
        Machine.Dispose();
    }
}
