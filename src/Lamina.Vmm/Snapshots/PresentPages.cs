using System.Runtime.InteropServices;
using Lamina.Interop.Memory;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>
/// Which pages of RAM were ever touched, by the host's page tables (<c>/proc/self/pagemap</c>), so that the others need not be read. Where the host does not tell, and of RAM over a file,
/// all count.
/// </summary>
internal sealed class PresentPages : IDisposable
{
    private const int PageSize = 4096;
    private const ulong Present = 1UL << 63;
    private const ulong Swapped = 1UL << 62;
    private readonly MemoryMapping _memory;
    private readonly SafeFileHandle? _map;
    private readonly ulong[] _entries = new ulong[16 << 10];
    private ulong _first;
    private int _count;

    internal PresentPages(MemoryMapping memory)
    {
        _memory = memory;
        try
        {
            _map = memory.IsOverFile ? null : File.OpenHandle("/proc/self/pagemap");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // All pages count.
        }
    }

    /// <summary>Whether any page of a range, in whole pages, was touched.</summary>
    internal bool HasAny(ulong offset, int length)
    {
        if (_map == null)
        {
            return true;
        }

        for (ulong page = offset / PageSize; page < (offset + (ulong)length) / PageSize; page++)
        {
            if (page < _first || page >= _first + (ulong)_count)
            {
                long at = ((_memory.Address / PageSize) + (long)page) * sizeof(ulong);
                _first = page;
                _count = RandomAccess.Read(_map, MemoryMarshal.AsBytes(_entries.AsSpan()), at) / sizeof(ulong);
                if (_count == 0)
                {
                    return true;
                }
            }

            if ((_entries[page - _first] & (Present | Swapped)) != 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <inheritdoc/>
    public void Dispose() => _map?.Dispose();
}
