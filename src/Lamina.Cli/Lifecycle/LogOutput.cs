using Lamina.Cli.Control;
using Lamina.Cli.Running;
using Lamina.Management.Protocol;
using Lamina.Vmm.Serial;

namespace Lamina.Cli.Lifecycle;

/// <summary>Brings what a console has shown to standard output.</summary>
internal static class LogOutput
{
    private const int BlockSize = 16384;
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Copies a machine's stream to its end, or as long as somebody reads.</summary>
    public static void Copy(ControlChannel channel)
    {
        using DescriptorCharacterOutput output = DescriptorCharacterOutput.ForStandardOutput();
        ConsoleOutput console = new(output, raw: false);
        byte[] buffer = new byte[BlockSize];
        int count;
        while ((count = channel.Read(buffer)) > 0 && output.Failure == null)
        {
            console.Write(buffer.AsSpan(0, count));
        }

        while (!output.Flush(FlushTimeout))
        {
            // Whoever reads is slow.
        }
    }

    /// <summary>Copies the files of a machine that has ended.</summary>
    /// <returns>Whether there are any.</returns>
    public static bool TryCopyFiles(string name)
    {
        if (!Management.Machines.MachineName.IsValid(name))
        {
            return false;
        }

        IReadOnlyList<string> files = MachineLog.FindFiles(MachineLog.FindPath(name, Environment.GetEnvironmentVariable));
        try
        {
            using Stream output = Console.OpenStandardOutput();
            foreach (string path in files)
            {
                using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                file.CopyTo(output);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LaminaException($"the log of '{name}' cannot be read: {e.Message}", e);
        }

        return files.Count > 0;
    }
}
