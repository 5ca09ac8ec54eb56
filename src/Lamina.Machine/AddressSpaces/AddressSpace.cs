namespace Lamina.Machine.AddressSpaces;

/// <summary>
/// A space of device registers: one instance for I/O ports (64 Ki addresses), one for memory-mapped I/O. Look-up takes no lock: it reads
/// a table that is replaced whole when a range is mapped, moved, enabled or disabled. Where ranges overlap, the one mapped last wins.
/// An access that straddles the end of a range is unclaimed.
/// </summary>
public sealed class AddressSpace
{
    private readonly ILock _lock;
    private readonly ulong _size;
    private AddressMapping[] _mappings = [];
    private volatile Entry[] _table = [];
    private IAddressSpaceListener? _listener;

    /// <summary>Makes an empty space of <paramref name="size"/> addresses; <paramref name="mappingLock"/> serialises changes to it.</summary>
    public AddressSpace(ulong size, ILock mappingLock)
    {
        _size = size;
        _lock = mappingLock;
    }

    /// <summary>Number of port addresses of the x86 architecture.</summary>
    public const ulong PortCount = 0x1_0000;

    /// <summary>The ranges, in the order in which they were mapped.</summary>
    public ReadOnlySpan<AddressMapping> Mappings => _mappings;

    /// <summary>Sets who is told of changes, in the place of whoever was, and tells of all that is there already.</summary>
    public void SetListener(IAddressSpaceListener listener)
    {
        _lock.Enter();
        _listener = listener;
        foreach (AddressMapping mapping in _mappings)
        {
            listener.OnChanged(mapping);
        }

        _lock.Exit();
    }

    /// <summary>Tells <paramref name="listener"/> no more, if it is still the one. When this returns, it is not being told any more.</summary>
    public void RemoveListener(IAddressSpaceListener listener)
    {
        _lock.Enter();
        _listener = _listener == listener ? null : _listener;
        _lock.Exit();
    }

    /// <summary>Maps a range. Any thread; allocates, so not on a guest's path.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or leaves the space.</exception>
    public AddressMapping Map(string name, ulong address, ulong length, IRegisterWindow window, bool enabled = true)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, _size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(address, _size - length);
        AddressMapping mapping = new(name, address, length, window, enabled);
        _lock.Enter();
        _mappings = [.. _mappings, mapping];
        Rebuild();
        _listener?.OnChanged(mapping);
        _lock.Exit();
        return mapping;
    }

    /// <summary>Moves a range and enables or disables it, in one step.</summary>
    /// <returns><c>false</c>, with the range disabled, if it would leave the space.</returns>
    public bool Update(AddressMapping mapping, ulong address, bool enabled)
    {
        bool fits = address <= _size - mapping.Length;
        _lock.Enter();
        if (fits)
        {
            mapping.Address = address;
        }

        mapping.Enabled = enabled && fits;
        Rebuild();
        _listener?.OnChanged(mapping);
        _lock.Exit();
        return fits;
    }

    /// <summary>Takes a range away. An access that has found it before may still be under way.</summary>
    public void Unmap(AddressMapping mapping)
    {
        _lock.Enter();
        mapping.Enabled = false;
        AddressMapping[] rest = new AddressMapping[_mappings.Length];
        int count = 0;
        foreach (AddressMapping other in _mappings)
        {
            if (other != mapping)
            {
                rest[count++] = other;
            }
        }

        _mappings = rest[..count];
        Rebuild();
        _listener?.OnChanged(mapping);
        _lock.Exit();
    }

    /// <summary>Reads. Where nothing answers, or not at this width, <paramref name="data"/> is all ones.</summary>
    public AccessResult Read(ulong address, Span<byte> data)
    {
        AccessResult result = AccessResult.Unclaimed;
        if (Find(address, (ulong)data.Length, out Entry entry))
        {
            result = entry.Window.Read(address - entry.Base, data);
        }

        if (result != AccessResult.Done)
        {
            data.Fill(0xff);
        }

        return result;
    }

    /// <summary>Writes.</summary>
    public AccessResult Write(ulong address, ReadOnlySpan<byte> data)
    {
        return Find(address, (ulong)data.Length, out Entry entry)
            ? entry.Window.Write(address - entry.Base, data)
            : AccessResult.Unclaimed;
    }

    /// <summary>Whether some enabled range holds the address.</summary>
    public bool IsClaimed(ulong address) => Find(address, 1, out _);

    private bool Find(ulong address, ulong length, out Entry entry)
    {
        Entry[] table = _table;
        int low = 0;
        int high = table.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            ref Entry candidate = ref table[middle];
            if (address < candidate.Start)
            {
                high = middle - 1;
            }
            else if (address - candidate.Start >= candidate.Length)
            {
                low = middle + 1;
            }
            else
            {
                entry = candidate;
                return length <= candidate.Length - (address - candidate.Start);
            }
        }

        entry = default;
        return false;
    }

    // Cuts the overlapping ranges into disjoint pieces, sorted by address.
    private void Rebuild()
    {
        List<ulong> cuts = [];
        foreach (AddressMapping mapping in _mappings)
        {
            if (mapping.Enabled)
            {
                cuts.Add(mapping.Address);
                cuts.Add(mapping.Address + mapping.Length);
            }
        }

        cuts.Sort();
        List<Entry> table = [];
        for (int i = 0; i + 1 < cuts.Count; i++)
        {
            ulong start = cuts[i];
            ulong length = cuts[i + 1] - start;
            if (length == 0)
            {
                continue;
            }

            for (int m = _mappings.Length - 1; m >= 0; m--)
            {
                AddressMapping mapping = _mappings[m];
                if (mapping.Enabled && start - mapping.Address < mapping.Length)
                {
                    if (table.Count > 0 && table[^1].Window == mapping.Window && table[^1].Base == mapping.Address && table[^1].Start + table[^1].Length == start)
                    {
                        table[^1] = table[^1] with { Length = table[^1].Length + length };
                    }
                    else
                    {
                        table.Add(new Entry(start, length, mapping.Address, mapping.Window));
                    }

                    break;
                }
            }
        }

        _table = [.. table];
    }

    private readonly record struct Entry(ulong Start, ulong Length, ulong Base, IRegisterWindow Window);
}
