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
        foreach (string link in Directory.GetFileSystemEntries("/proc/self/fd"))
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

    /// <summary>Processes that this one has started, by the name of their program.</summary>
    public static string[] Children(string program)
    {
        List<string> found = [];
        foreach (string directory in Directory.GetDirectories("/proc", "*").Where(static d => char.IsAsciiDigit(Path.GetFileName(d)[0])))
        {
            try
            {
                // Behind the name in parentheses are the state and the parent.
                string stat = File.ReadAllText(Path.Combine(directory, "stat"));
                if (stat.Split(')')[^1].Split(' ')[2] == $"{Environment.ProcessId}" && stat.Contains($"({program}", StringComparison.Ordinal))
                {
                    found.Add(stat);
                }
            }
            catch (IOException)
            {
                // It has just ended.
            }
        }

        return [.. found];
    }
}
