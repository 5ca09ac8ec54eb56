using System.Globalization;
using Lamina.Interop.Memory;

namespace Lamina.Interop.Tests.Memory;

/// <summary>Which pages of this process the host has been advised to make huge, by the flags in <c>/proc/self/smaps</c> (proc_pid_smaps(5)).</summary>
internal static class AdvisedPages
{
    /// <summary>Small pages up to the size of a huge one, huge ones from there to the end.</summary>
    public static void AssertGrowing(nint address, ulong length)
    {
        Assert.Equal(0, address % MemoryMapping.HugePageSize);
        Assert.False(AreHuge(address), "what stays short takes small pages");
        if (length > MemoryMapping.HugePageSize && Directory.Exists("/sys/kernel/mm/transparent_hugepage"))
        {
            Assert.True(AreHuge(address + MemoryMapping.HugePageSize), "what grows takes huge pages");
            Assert.True(AreHuge(address + (nint)length - 1), "up to the end");
        }
    }

    private static bool AreHuge(nint address)
    {
        bool inside = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            string first = line.Split(' ', 2)[0];
            if (!first.EndsWith(':'))
            {
                long[] range = [.. first.Split('-').Select(static n => long.Parse(n, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
                inside = address >= range[0] && address < range[1];
            }
            else if (inside && first == "VmFlags:")
            {
                return line.Split(' ').Contains("hg");
            }
        }

        throw new InvalidOperationException($"nothing is mapped at {address:x}");
    }
}
