namespace Lamina.Machine.Personalities;

/// <summary>Translates a processor's linear addresses, as its page tables say at the moment. On the processor's own thread.</summary>
public interface ILinearTranslation
{
    /// <summary>Translates the address of a byte for the kernel. The answer is good to the end of its 4 KiB page.</summary>
    /// <param name="linear">The linear address; any value.</param>
    /// <param name="write">Whether the byte is to be written.</param>
    /// <param name="physical">Its guest-physical address.</param>
    /// <returns><c>false</c> if the access would fault. No fault is raised.</returns>
    bool TryTranslate(ulong linear, bool write, out ulong physical);
}
