using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary>The kernel itself.</summary>
public sealed unsafe class KvmCalls : IKvmCalls
{
    private KvmCalls()
    {
    }

    /// <summary>The only one.</summary>
    public static KvmCalls Instance { get; } = new();

    /// <inheritdoc/>
    public int Control(int descriptor, uint request, void* argument)
    {
        int result = NativeMethods.Control(descriptor, request, argument);
        return result >= 0 ? result : -Marshal.GetLastPInvokeError();
    }
}
