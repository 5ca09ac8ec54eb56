using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary>A descriptor of the KVM interface: the device, a machine, or a processor.</summary>
public abstract unsafe class KvmHandle : SafeHandle
{
    // A host that is short of something for a moment says "try again"; one that goes on saying so is taken at its word.
    private const int MostAttempts = 100;

    private protected KvmHandle(IKvmCalls calls, int descriptor)
        : base(-1, ownsHandle: true)
    {
        Calls = calls;
        SetHandle(descriptor);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>How calls are made.</summary>
    protected IKvmCalls Calls { get; }

    /// <summary>The descriptor. Valid until disposal.</summary>
    protected int Descriptor => (int)handle;

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => NativeMethods.Close((int)handle) == 0;

    /// <summary>Makes a call, and repeats it when it was interrupted or the host asks for that.</summary>
    /// <returns>The kernel's answer, or the errno value negated.</returns>
    protected int TryCall(uint request, void* argument)
    {
        for (int attempt = 1; ; attempt++)
        {
            int result = Calls.Control(Descriptor, request, argument);
            if ((result != -ErrorNumber.Interrupted && result != -ErrorNumber.TryAgain) || attempt == MostAttempts)
            {
                return result;
            }
        }
    }

    /// <summary>Makes a call that must succeed.</summary>
    /// <exception cref="SystemCallException">It did not.</exception>
    protected int Call(uint request, void* argument)
    {
        int result = TryCall(request, argument);
        return result >= 0 ? result : throw new SystemCallException(KvmRequest.GetName(request), -result);
    }
}
