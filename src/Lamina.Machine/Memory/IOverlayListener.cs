namespace Lamina.Machine.Memory;

/// <summary>Told where pages of a <see cref="GuestMemoryOverlay"/> are: an accelerator whose processors find memory by maps of its own.</summary>
public interface IOverlayListener
{
    /// <summary>A page is memory from now on. On the thread that places it, beside running processors.</summary>
    /// <param name="page">Its number, from 0.</param>
    /// <param name="address">Where it is.</param>
    /// <param name="host">Where this process has it.</param>
    /// <returns><c>false</c> if it cannot be there: then it is nowhere.</returns>
    bool TryMap(int page, ulong address, nint host);

    /// <summary>A page is nowhere any more.</summary>
    /// <param name="page">Its number.</param>
    void Unmap(int page);
}
