namespace Lamina.Faults;

/// <summary>What this process has of the host: to see that nothing is left behind.</summary>
internal static class HostState
{
    /// <summary>Descriptors by what they are, less what the runtime and the faults themselves have.</summary>
    public static string[] Descriptors()
    {
        // A constructor that fails half-way leaves what it has made to finalizers.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        List<string> all = [];
        foreach (string link in Directory.GetFiles("/proc/self/fd"))
        {
            try
            {
                string target = new FileInfo(link).LinkTarget ?? "";
                if (target.Length > 0 && !target.Contains("seccomp", StringComparison.Ordinal) && !target.StartsWith("/proc", StringComparison.Ordinal) && Path.GetExtension(target) is not ".dll" and not ".pdb")
                {
                    all.Add(target);
                }
            }
            catch (IOException)
            {
                // It was the one by which the directory was read.
            }
        }

        all.Sort(StringComparer.Ordinal);
        return [.. all];
    }

    /// <summary>Mappings of a length, in bytes.</summary>
    public static int CountMappings(ulong length) => File.ReadLines("/proc/self/maps").Count(line =>
    {
        string[] range = line.Split(' ')[0].Split('-');
        return Convert.ToUInt64(range[1], 16) - Convert.ToUInt64(range[0], 16) >= length;
    });
}
