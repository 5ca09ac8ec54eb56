using System.Runtime.InteropServices;
using Lamina.Interop.Memory;
using Microsoft.Win32.SafeHandles;

namespace Lamina.Vmm.Snapshots;

/// <summary>
/// Which pages of RAM may hold something: those that were ever touched, by the host's page tables (<c>/proc/self/pagemap</c>), and those of the files that RAM was mapped from. Where the host does
/// not tell, all count.
/// </summary>
internal sealed class PresentPages : IDisposable
{
    private const int PageSize = PageRun.PageSize;
    private const ulong Present = 1UL << 63;
    private const ulong Swapped = 1UL << 62;
    private readonly MemoryMapping _memory;
    private readonly SafeFileHandle? _map;
    private readonly IReadOnlyList<PageRun> _files;
    private readonly ulong[] _entries = new ulong[16 << 10];
    private ulong _first;
    private int _count;
    private int _file;

    /// <summary>Prepares to answer, for ranges by ascending address.</summary>
    /// <param name="memory">RAM.</param>
    /// <param name="files">What has data in the files that RAM was mapped from, by ascending address.</param>
    internal PresentPages(MemoryMapping memory, IReadOnlyList<PageRun> files)
    {
        _memory = memory;
        _files = files;
        try
        {
            _map = File.OpenHandle("/proc/self/pagemap");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // All pages count.
        }
    }

    /// <summary>Whether any page of a range, in whole pages and behind those that were asked for before, may hold something.</summary>
    internal bool HasAny(ulong offset, int length)
    {
        if (_map == null)
        {
            return true;
        }

        ulong end = (offset + (ulong)length) / PageSize;
        while (_file < _files.Count && _files[_file].First + _files[_file].Count <= offset / PageSize)
        {
            _file++;
        }

        if (_file < _files.Count && _files[_file].First < end)
        {
            return true;
        }

        for (ulong page = offset / PageSize; page < end; page++)
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
