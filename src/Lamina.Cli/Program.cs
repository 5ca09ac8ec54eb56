using Lamina.Cli;

return new LaminaProgram(Console.Out, Console.Error).Run(args);
