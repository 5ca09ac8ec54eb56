using Lamina.Interop.Kvm;

namespace Lamina.Kvm;

/// <summary>A machine of KVM with its first processor.</summary>
internal sealed record KvmParts(KvmMachine Machine, KvmVirtualProcessor FirstProcessor) : IDisposable
{
    public void Dispose()
    {
        FirstProcessor.Dispose();
        Machine.Dispose();
    }
}
