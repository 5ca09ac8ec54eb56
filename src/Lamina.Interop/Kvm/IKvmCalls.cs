namespace Lamina.Interop.Kvm;

/// <summary>The one way to the kernel's KVM interface. Tests put refusals in between.</summary>
public unsafe interface IKvmCalls
{
    /// <summary>ioctl.</summary>
    /// <returns>The kernel's answer, or the errno value negated.</returns>
    int Control(int descriptor, uint request, void* argument);
}
