using System.Diagnostics;
using System.Text;

namespace Lamina.Cli.Control;

/// <summary>
/// <c>run --detach</c>: starts the program once more, which says on its standard output when the machine runs and what it is called, and then leaves the terminal. Until then it is an
/// ordinary child, whose messages are seen and which Ctrl-C ends.
/// </summary>
internal sealed class DetachedLauncher(TextWriter output)
{
    /// <summary>The option that the second program gets.</summary>
    public const string WorkerOption = "--detached-worker";

    private const string Ready = "ready ";
    private const byte EndOfMessages = 0;

    /// <summary>In the second program: the machine runs, and further messages are not for the person who started it.</summary>
    public static void SayReady(string name)
    {
        using Stream standardError = Console.OpenStandardError();
        standardError.Write([EndOfMessages]);
        using Stream standardOutput = Console.OpenStandardOutput();
        standardOutput.Write(Encoding.ASCII.GetBytes($"{Ready}{name}\n"));
    }

    /// <summary>Starts the machine.</summary>
    /// <param name="arguments">This program's arguments.</param>
    /// <returns>The exit status.</returns>
    public int Run(string[] arguments)
    {
        string program = Environment.ProcessPath ?? throw new LaminaException("the program's own file cannot be found, and --detach starts it once more.");
        List<string> all = [];
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
        {
            all.AddRange(["exec", Path.Combine(AppContext.BaseDirectory, "lamina.dll")]);
        }

        all.AddRange([arguments[0], WorkerOption, .. arguments[1..]]);

        // Its standard error is a pipe from it to us alone: whoever reads ours would otherwise wait for the machine's end.
        using Process worker = Process.Start(new ProcessStartInfo(program, all) { RedirectStandardOutput = true, RedirectStandardError = true })
            ?? throw new LaminaException("the machine's process cannot be started.");
        Thread messages = new(() => Relay(worker.StandardError.BaseStream)) { IsBackground = true, Name = "messages" };
        messages.Start();
        string? line = worker.StandardOutput.ReadLine();
        messages.Join();
        if (line != null && line.StartsWith(Ready, StringComparison.Ordinal))
        {
            output.WriteLine(line[Ready.Length..]);
            return ExitStatus.Success;
        }

        worker.WaitForExit();
        return worker.ExitCode == ExitStatus.Success ? ExitStatus.Failure : worker.ExitCode;
    }

    private static void Relay(Stream source)
    {
        using Stream standardError = Console.OpenStandardError();
        byte[] buffer = new byte[4096];
        int count;
        while ((count = source.Read(buffer)) > 0)
        {
            int end = buffer.AsSpan(0, count).IndexOf(EndOfMessages);
            standardError.Write(buffer.AsSpan(0, end < 0 ? count : end));
            if (end >= 0)
            {
                return;
            }
        }
    }
}
