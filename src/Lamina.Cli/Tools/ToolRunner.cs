using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace Lamina.Cli.Tools;

/// <summary>Runs programs of the host with a plain environment.</summary>
internal sealed class ToolRunner : IToolRunner
{
    /// <inheritdoc/>
    public bool Exists(string tool)
    {
        string path = Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin";
        return path.Split(':', StringSplitOptions.RemoveEmptyEntries).Any(directory => File.Exists(Path.Combine(directory, tool)));
    }

    /// <inheritdoc/>
    public ToolResult Run(string tool, IReadOnlyList<string> arguments, string? directory, Action<string>? onOutput, CancellationToken cancellation)
    {
        StringBuilder output = new();
        ToolResult result = Run(tool, arguments, directory, ReadLines, cancellation);
        return result with { Output = output.ToString() };

        void ReadLines(Stream stream)
        {
            using StreamReader reader = new(stream);
            while (reader.ReadLine() is { } line)
            {
                output.Append(line).Append('\n');
                onOutput?.Invoke(line);
            }
        }
    }

    /// <inheritdoc/>
    public ToolResult RunAndRead(string tool, IReadOnlyList<string> arguments, Action<Stream> reader, CancellationToken cancellation)
    {
        return Run(tool, arguments, null, ReadAll, cancellation);

        void ReadAll(Stream stream)
        {
            reader(stream);
            // A program that finds its reader gone reports that as its own failure.
            stream.CopyTo(Stream.Null);
        }
    }

    private static ToolResult Run(string tool, IReadOnlyList<string> arguments, string? directory, Action<Stream> reader, CancellationToken cancellation)
    {
        ProcessStartInfo start = new(tool, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory ?? "",
        };
        start.Environment["LC_ALL"] = "C";
        start.Environment["DEBIAN_FRONTEND"] = "noninteractive";
        using Process process = StartProcess(start);
        using CancellationTokenRegistration registration = cancellation.Register(() => Kill(process));
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            reader(process.StandardOutput.BaseStream);
        }
        catch
        {
            Kill(process);
            throw;
        }

        process.WaitForExit();
        cancellation.ThrowIfCancellationRequested();
        return new ToolResult(process.ExitCode, "", error.GetAwaiter().GetResult());
    }

    private static Process StartProcess(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new LaminaException($"'{start.FileName}' cannot be started: {e.Message}", e);
        }
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It has ended already.
        }
    }
}
