using Lamina.Interop.Isolation;

namespace Lamina.Storage.Sharing;

/// <summary>
/// How many descriptors guests may have kept open in folders: those of the files that they know, and of those that they have open. Of what the process may have, a part is left for the machine itself, whose
/// control socket, disks and snapshots need some, too. Any thread.
/// </summary>
/// <param name="capacity">How many; null for what the process has.</param>
internal sealed class DescriptorShare(int? capacity = null)
{
    private const ulong MostKept = 4096;
    private int _capacity = capacity ?? 0;
    private int _taken;

    /// <summary>The share of all folders of this process.</summary>
    public static DescriptorShare OfProcess { get; } = new();

    /// <summary>Takes one.</summary>
    /// <returns><c>false</c> if there is none left.</returns>
    public bool TryTake()
    {
        int taken = Interlocked.Increment(ref _taken);

        // The limit may have been another when it was looked at last: before the process had its sandbox.
        if (taken <= Volatile.Read(ref _capacity) || (capacity is null && taken <= FindCapacity()))
        {
            return true;
        }

        Return();
        return false;
    }

    /// <summary>Gives one back.</summary>
    public void Return() => Interlocked.Decrement(ref _taken);

    private int FindCapacity()
    {
        ulong files = ResourceLimits.GetFiles();
        int found = (int)Math.Min(files - Math.Min(MostKept, files / 2), int.MaxValue);
        Volatile.Write(ref _capacity, found);
        return found;
    }
}
