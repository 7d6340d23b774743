from melmoat.cli import main

main()
