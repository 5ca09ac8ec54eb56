using System.Diagnostics;
using System.Globalization;
using Lamina.Verify.Privileged;

namespace Lamina.Verify;

/// <summary>Has the comparison run in a process of its own, and says in which case that ended if it did.</summary>
internal static class VerifyProgram
{
    private const int Differs = 1;
    private const int Misused = 2;
    private const string Worker = "--progress";

    public static int Run(string[] arguments)
    {
        if (arguments.Length == 1 && arguments[0] is "-h" or "--help")
        {
            Console.WriteLine(VerifyOptions.Usage);
            return 0;
        }

        try
        {
            VerifyOptions options = VerifyOptions.Parse(arguments);
            if (options.Mutate == "list")
            {
                Console.WriteLine(string.Join('\n', Mutation.Names.Concat(SystemMutation.Names).Concat(ProgramMutation.Names)));
                return 0;
            }

            if (options.Merged != null)
            {
                CoverageTable table = new();
                foreach (string file in options.Files)
                {
                    table.Add(File.ReadAllText(file));
                }

                File.WriteAllText(options.Merged, table.ToString());
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{options.Files.Count} tables, {table.Cases} cases of {table.Opcodes} opcodes"));
                return 0;
            }

            return options.Progress != null ? new VerifyRun(options, Console.Out).Run() == 0 ? 0 : Differs : RunWorker(arguments, options);
        }
        catch (Exception e) when (e is FormatException or IOException)
        {
            Console.Error.WriteLine($"lamina-verify: {e.Message}");
            return Misused;
        }
    }

    private static int RunWorker(string[] arguments, VerifyOptions options)
    {
        string progress = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(progress, new byte[ProgressFile.Size]);
            string program = Environment.ProcessPath!;
            string[] own = Path.GetFileNameWithoutExtension(program) == "dotnet" ? ["exec", typeof(VerifyProgram).Assembly.Location] : [];
            string[] seed = arguments.Contains("--seed") ? [] : ["--seed", options.Seed.ToString(CultureInfo.InvariantCulture)];
            using ProgressFile shared = new(progress);
            using StopSignals signals = new(shared.Stop);
            using Process worker = Process.Start(new ProcessStartInfo(program, [.. own, .. arguments, .. seed, Worker, progress]))!;
            worker.WaitForExit();
            if (worker.ExitCode is 0 or Differs or Misused)
            {
                return worker.ExitCode;
            }

            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {options.Seed} case {shared.Case}: the process that compared ended with status {worker.ExitCode}"));
            return Differs;
        }
        finally
        {
            File.Delete(progress);
        }
    }
}
